"""A sign of life while nothing else is said: a thread that speaks once a pause was too long.

It wakes once for each sign it gives and does nothing in between, because latency may be measured meanwhile.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Heartbeat:
    """Calls `beat` whenever `pause_s` seconds went by without a sign. A context manager; `stop` may be called twice."""

    def __init__(self, beat: Callable[[], None], pause_s: float) -> None:
        self._beat, self._pause_s = beat, pause_s
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def heard(self) -> None:
        """Something else was said just now."""
        self._last = time.monotonic()

    def start(self) -> None:
        self._last = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopped.wait(max(0.0, self._last + self._pause_s - time.monotonic())):
            if time.monotonic() - self._last < self._pause_s:
                continue  # something was said while it slept
            self._last = time.monotonic()
            try:
                self._beat()
            except OSError:
                return  # nobody reads it any more: the terminal was closed
