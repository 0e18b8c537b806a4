"""Warm-up, stable, decay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.recover.schedule import Schedule, TimedSchedule


def test_rates_of_a_short_schedule() -> None:
    schedule = Schedule(total_steps=10, cooldown_steps=4, warmup_steps=3, peak_rate=6.0)
    assert [schedule.rate(step) for step in range(11)] == [2.0, 4.0, 6.0, 6.0, 6.0, 6.0, 6.0, 4.5, 3.0, 1.5, 0.0]


def test_no_warmup_and_no_cooldown() -> None:
    schedule = Schedule(total_steps=3, cooldown_steps=0, warmup_steps=0, peak_rate=1.0)
    assert [schedule.rate(step) for step in range(4)] == [1.0, 1.0, 1.0, 0.0]


@given(
    total=st.integers(1, 500), more=st.integers(0, 500), cooldown=st.integers(0, 500), warmup=st.integers(0, 50), step=st.integers(0, 1200)
)
def test_the_end_changes_only_the_cooldown(total: int, more: int, cooldown: int, warmup: int, step: int) -> None:
    cooldown = min(cooldown, total)
    first, second = Schedule(total, cooldown, warmup, 2.0), Schedule(total + more, cooldown, warmup, 2.0)
    assert 0.0 <= first.rate(step) <= 2.0
    if step < total - cooldown:
        assert first.rate(step) == second.rate(step)
    assert first.rate(total) == 0.0


@pytest.mark.parametrize(
    ("total", "cooldown", "rule"), [(0, 0, "total steps"), (5, 6, r"cooldown steps must lie in \[0, 5\], got 6"), (5, -1, "got -1")]
)
def test_impossible_schedules_are_refused(total: int, cooldown: int, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Schedule(total, cooldown)


def test_a_timed_schedule_falls_with_the_time_used() -> None:
    schedule = TimedSchedule(total_s=100.0, cooldown=0.4, warmup_steps=2, peak_rate=6.0)
    assert [schedule.rate(step, 0.0) for step in range(3)] == [3.0, 6.0, 6.0]
    assert [schedule.rate(9, used_s) for used_s in (59.0, 60.0, 80.0, 90.0, 100.0, 130.0)] == pytest.approx([6.0, 6.0, 3.0, 1.5, 0.0, 0.0])
    assert TimedSchedule(100.0, cooldown=0.0).rate(5, 99.9) == 5e-4
    assert [schedule.is_over(step, used_s) for step, used_s in ((0, 500.0), (1, 99.9), (1, 100.0))] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "rule"), [((0.0,), "seconds of a schedule"), ((1.0, 1.5), r"in \[0, 1\], got 1.5"), ((1.0, 0.5, -1), "warm-up steps")]
)
def test_impossible_timed_schedules_are_refused(arguments: tuple[float, ...], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        TimedSchedule(*arguments)  # type: ignore[arg-type]
