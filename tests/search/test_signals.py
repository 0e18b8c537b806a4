"""Signals stop a study as Ctrl-C does; two in a row change nothing."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from paredown.search.signals import ORDERLY_S, STOPPING, StoppedBySignal, stoppable


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """Nothing is ignored, as it would be behind `nohup` or `&`."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "told", "code"),
    [
        (signal.SIGINT, "stopped by Ctrl-C", 130),
        (signal.SIGTERM, "stopped by SIGTERM", 143),
        (signal.SIGHUP, "stopped by SIGHUP", 129),
    ],
)
def test_each_signal_stops_once_and_everything_is_as_before(number: signal.Signals, told: str, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedBySignal, match=told) as caught, stoppable():
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before


def test_a_second_signal_waits_until_the_first_had_its_time() -> None:
    now_s = 0.0
    with stoppable(lambda: now_s):
        with pytest.raises(StoppedBySignal):
            os.kill(os.getpid(), signal.SIGTERM)
        now_s = 0.9 * ORDERLY_S
        os.kill(os.getpid(), signal.SIGHUP)  # nothing: what ends, ends in order
        now_s = 1.1 * ORDERLY_S
        with pytest.raises(StoppedBySignal, match="Ctrl-C"):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_was_ignored_stays_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_changed() -> None:
    seen: list[object] = []

    def look() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
