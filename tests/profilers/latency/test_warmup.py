"""Warming up ends when durations no longer fall, and says so when they still do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.profilers.latency.warmup import LOOKED_AT, Warmup, falls, warm_up


class Cooling:
    """Durations that are told beforehand; the last one stays."""

    def __init__(self, durations: list[float]) -> None:
        self.now_s, self.items = 0.0, list[int]()
        self._durations = durations

    def clock(self) -> float:
        return self.now_s

    def run(self, item: int) -> int:
        self.now_s += self._durations[min(len(self.items), len(self._durations) - 1)]
        self.items.append(item)
        return 1


def test_a_candidate_at_rest_takes_the_fewest_runs() -> None:
    machine = Cooling([1.0])
    assert warm_up(machine.run, longest=5, shortest=2, most=30, clock=machine.clock) == Warmup(LOOKED_AT + 1, True)
    assert machine.items == [5, 2, 2, 2, 2, 2, 2]  # the longest one first, for the memory it takes


def test_it_goes_on_while_durations_fall() -> None:
    machine = Cooling([0.9**number for number in range(20)])
    found = warm_up(machine.run, 0, 0, 60, machine.clock)
    # Falling by 10 % a run until the 20th; the last three are as short as the three before when two of those and all of these are at rest.
    assert found == Warmup(24, True)


def test_it_ends_where_it_may_not_go_on() -> None:
    machine = Cooling([0.9**number for number in range(100)])
    assert warm_up(machine.run, 0, 0, 12, machine.clock) == Warmup(12, False)
    assert len(machine.items) == 12


def test_without_warm_up_nothing_runs() -> None:
    machine = Cooling([1.0])
    assert warm_up(machine.run, 0, 0, 0, machine.clock) == Warmup(0, True)
    assert machine.items == []


@given(st.lists(st.floats(1.0, 1.02), min_size=LOOKED_AT, max_size=20))
def test_noise_of_two_percent_is_no_fall(durations: list[float]) -> None:
    assert not falls(durations)


@given(st.lists(st.floats(0.5, 2.0), min_size=3, max_size=3), st.floats(0.5, 0.9))
def test_a_fall_between_the_halves_is_seen(durations: list[float], factor: float) -> None:
    assert falls(durations + [factor * duration for duration in durations])


@pytest.mark.parametrize("count", [0, LOOKED_AT - 1])
def test_too_few_durations_do_not_tell(count: int) -> None:
    assert falls([1.0] * count)
