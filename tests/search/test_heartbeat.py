"""Signs of life come in pauses alone."""

import itertools
import threading
import time

from paredown.search.heartbeat import Heartbeat

PAUSE_S = 0.05


def test_it_speaks_in_pauses_and_stops() -> None:
    spoken, often = [], threading.Event()

    def beat() -> None:
        spoken.append(time.monotonic())
        if len(spoken) == 4:
            often.set()

    with Heartbeat(beat, PAUSE_S):
        assert often.wait(60)
    count = len(spoken)
    time.sleep(2 * PAUSE_S)
    assert len(spoken) == count
    # It never speaks before the pause is over; the clock may be read a little later than the wait ended.
    assert min(later - earlier for earlier, later in itertools.pairwise(spoken)) > 0.5 * PAUSE_S


def test_it_is_silent_while_something_else_speaks() -> None:
    spoken: list[int] = []
    heartbeat = Heartbeat(lambda: spoken.append(1), 30.0)
    with heartbeat:
        for _ in range(5):
            heartbeat.heard()
    assert spoken == []
    heartbeat.stop()


def test_a_closed_terminal_ends_it_quietly() -> None:
    tried = threading.Event()

    def beat() -> None:
        tried.set()
        raise OSError(5, "Input/output error")

    heartbeat = Heartbeat(beat, 0.01)
    heartbeat.start()
    assert tried.wait(60)
    heartbeat.stop()
