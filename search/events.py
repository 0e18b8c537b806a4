"""The diary of a study: one JSON object a line, in the order things happened."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def _now() -> datetime:
    return datetime.now(UTC)


class EventLog:
    """Appends to `events.jsonl`; a line goes out in one write, so a kill leaves whole lines."""

    def __init__(self, path: Path, now: Callable[[], datetime] = _now) -> None:
        self._now = now
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")  # the machine went down in the middle of a line

    def append(self, event: str, **fields: Any) -> None:
        """`event`: what happened ("trial done"); `fields`: plain JSON values."""
        line = {"time": self._now().isoformat(timespec="milliseconds"), "event": event, **fields}
        os.write(self._handle, (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        """A second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read_events(path: Path) -> tuple[dict[str, Any], ...]:
    """All events in order; a line torn by a power cut is left out."""
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return tuple(events)
