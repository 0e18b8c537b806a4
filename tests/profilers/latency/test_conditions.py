"""What conditions say of themselves."""

from dataclasses import replace

import pytest

from paredown.profilers.latency.conditions import Conditions
from paredown.profilers.latency.drift import Drift

GOOD = Conditions((1,), 14, True, 12, Drift(0.001, (-0.01, 0.01)), 0.01, 8.0, 0.03, "narrow")


def test_good_conditions_warn_of_nothing() -> None:
    assert GOOD.warnings == ()
    assert GOOD.converged
    assert not GOOD.drifted
    assert not GOOD.disturbed
    assert replace(GOOD, drift=None, others_share=None, cores=None, width=None, stopped="effort").warnings == ()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"drift": Drift(0.05, (0.03, 0.07))}, "the reference became 5.0 % slower meanwhile (+3.0 to +7.0 %)"),
        ({"drift": Drift(-0.05, (-0.07, -0.03))}, "the reference became 5.0 % faster meanwhile (-7.0 to -3.0 %)"),
        ({"others_share": 0.2}, "others had 20 % of the machine"),
        ({"steady": False}, "durations still fell when warming up ended"),
        ({"stopped": "time"}, "the interval is wider than asked: the time was spent"),
    ],
)
def test_each_fault_is_told(change: dict[str, object], line: str) -> None:
    assert replace(GOOD, **change).warnings == (line,)  # type: ignore[arg-type]


def test_one_load_tells_what_its_interval_leaves_out() -> None:
    assert replace(GOOD, loads=1).warnings == ("one load of each: where it lies in memory, 1 to 4 %, is not in the interval",)


def test_a_large_change_that_may_be_chance_is_no_drift() -> None:
    assert not replace(GOOD, drift=Drift(0.05, (-0.01, 0.11))).drifted


def test_the_keys_are_stable() -> None:
    assert GOOD.to_dict() == {
        "cores": [1],
        "warmup_runs": 14,
        "steady": True,
        "loads": 12,
        "drift": {"value": 0.001, "ci95": [-0.01, 0.01]},
        "drifted": False,
        "others_share": 0.01,
        "disturbed": False,
        "seconds": 8.0,
        "width": 0.03,
        "converged": True,
        "stopped": "narrow",
    }
    assert replace(GOOD, cores=None, drift=None).to_dict()["drift"] is None


def test_impossible_conditions_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'bored'"):
        replace(GOOD, stopped="bored")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="loads must be at least 1, got 0"):
        replace(GOOD, loads=0)
