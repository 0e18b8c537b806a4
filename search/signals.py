"""A study that is stopped from outside (Ctrl-C, SIGTERM, a closed terminal) ends in order: its trial is interrupted, its workers end."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Whoever stops a service often sends two signals at once, and a user presses Ctrl-C twice: the second would break the order. What
# hangs for longer than this is broken off by the next one.
ORDERLY_S = 5.0


class StoppedBySignal(KeyboardInterrupt):
    """As Ctrl-C, whatever the signal was."""

    def __init__(self, number: int) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        super().__init__(f"stopped by {name}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """As shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def stoppable(clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Within the block each of these signals raises StoppedBySignal in the main thread; elsewhere than there nothing is changed.

    What a parent chose to ignore stays ignored: SIGHUP under nohup, Ctrl-C behind `&` in a script.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped_at: float | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is not None and clock() - stopped_at < ORDERLY_S:
            return
        stopped_at = clock()
        raise StoppedBySignal(number)

    before: dict[signal.Signals, Any] = {}
    try:
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
        yield
    finally:
        for changed, handler in before.items():
            signal.signal(changed, handler if handler is not None else signal.SIG_DFL)  # None: not set by Python
