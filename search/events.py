"""The diary of a study, `events.jsonl`: one JSON object a line, in the order things happened, for programs that follow a study.

Every line has `time` (ISO 8601, UTC) and `event`; readers skip events and fields that they do not know. The events and their fields:

| event | fields |
| --- | --- |
| started | `pid`: the study is new |
| resumed | `pid`, `interrupted`: numbers of the trials that a dead process left behind, which are tried again |
| running | `pid`, `sampler`, `seed`, `trials`: how many are planned, `seconds`: the time limit or null |
| trial started | `trial`: its number, `label`: where it comes from, `digest`: of its configuration |
| stage | `trial`, `stage`: what the running trial is at, as the display says it ("race, 96 of 200 utterances") |
| trial done | `trial`, `values`: objective to value, `seconds` |
| trial stopped | `trial`, `reason`, `seconds`: the search ended it early, because it could not matter any more |
| trial rejected | `trial`, `reason`; `cause`: the reason without what differs from trial to trial, where the evaluation failed |
| trial interrupted | `trial`, `reason`: it is tried again |
| stopped | `why`: the run is over. A run without it was killed |

A completed trial is in `study.db` before its line is here: where the two differ, the database is right.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paredown.search.disk import writable


def _now() -> datetime:
    return datetime.now(UTC)


class EventLog:
    """Appends to `events.jsonl`; a line goes out in one write, so a kill leaves whole lines."""

    def __init__(self, path: Path, now: Callable[[], datetime] = _now) -> None:
        """Raises BadInput where the file cannot be written."""
        self._now, self._path = now, path
        with writable(path):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        self._torn = size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"  # the machine went down in the middle of a line

    def append(self, event: str, **fields: Any) -> None:
        """`event`: what happened ("trial done"); `fields`: plain JSON values. Raises BadInput where the disk is full or read-only."""
        line = {"time": self._now().isoformat(timespec="milliseconds"), "event": event, **fields}
        text = ("\n" if self._torn else "") + json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        rest = text.encode(errors="replace")
        with writable(self._path):
            while rest:
                written = os.write(self._handle, rest)
                rest = rest[written:]
                self._torn = bool(rest)  # a disk that runs full takes the beginning; the next line must not go on from there

    def close(self) -> None:
        """A second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read_events(path: Path) -> tuple[dict[str, Any], ...]:
    """All events in order; a line torn by a power cut is left out."""
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # not at other line ends, which may stand in a text
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return tuple(events)
