"""Which budgets are missed and by how much, worked out by hand, and who comes nearest."""

from dataclasses import replace

from paredown.profilers.measurement import Measurement
from paredown.search.budget import make_budget
from paredown.search.misses import least_violating, misses, nearest_to, total_violation
from paredown.search.outcome import Outcome
from tests.search.toy import outcome, trial

BUDGETS = [make_budget("size", "4 MB"), make_budget("latency@cpu", "50 ms"), make_budget("quality", "-1.0")]
TRIALS = [
    trial(0, 0.0, 100.0, 16e6),  # 12 MB and 50 ms too much: violations 3 and 1
    trial(1, -3.0, 40.0, 5e6),  # 1 MB too much, 2 chrF too little: 0.25 and 0.2
    trial(2, 0.0, 45.0, 6e6),  # 2 MB too much: 0.5
    trial(3, -3.0, 60.0, 6e6),  # missed by more than trial 1 in all: nobody asks for it
    trial(4, 0.0, 1.0, 1.0, "rejected"),
]


def test_how_far_is_told_in_three_digits() -> None:
    (miss,) = misses(BUDGETS[1:], Outcome((("quality", Measurement(-1.00412, "chrF")),)))
    assert (str(miss), miss.told) == ("quality 0.00412 chrF below", "quality is -1.004 chrF, 0.00412 chrF below")


def test_misses_in_the_units_of_the_budgets() -> None:
    found = misses(BUDGETS, outcome(-3.0, 40.0, 5e6))
    assert [(miss.budget.name, miss.value, miss.beyond) for miss in found] == [("size", 5e6, 1e6), ("quality", -3.0, 2.0)]
    assert [str(miss) for miss in found] == ["size 1 MB above", "quality 2 chrF below"]
    assert [miss.told for miss in found] == ["size is 5 MB, 1 MB above", "quality is -3 chrF, 2 chrF below"]
    assert misses(BUDGETS, outcome(-1.0, 50.0, 4e6)) == ()
    assert misses(BUDGETS, Outcome(outcome(0.0, 1.0, 9e6).measurements[-1:]))[0].beyond == 5e6
    assert total_violation(BUDGETS, outcome(-3.0, 40.0, 5e6)) == 0.45


def test_the_least_violating_come_in_the_order_of_what_they_miss() -> None:
    assert [each.number for each in least_violating(TRIALS, BUDGETS)] == [1, 2]
    assert [each.number for each in least_violating(TRIALS, BUDGETS[:1])] == [1]
    assert least_violating([], BUDGETS) == ()
    assert [each.number for each in least_violating(TRIALS, [])] == [0, 1, 2, 3]
    kept = trial(9, 0.0, 10.0, 1e6)
    assert least_violating([*TRIALS, kept], BUDGETS) == (kept,)


def test_stopped_trials_tell_how_near_one_budget_is() -> None:
    size = Outcome(outcome(0.0, 1.0, 4.5e6).measurements[-1:])
    stopped = replace(trial(7, 0.0, 1.0, 1.0, "stopped"), partial=size)
    assert nearest_to(BUDGETS[0], [*TRIALS, stopped]) == (stopped, 4.5e6)
    assert nearest_to(BUDGETS[2], [*TRIALS, stopped]) == (TRIALS[0], 0.0)
    assert nearest_to(BUDGETS[2], [stopped]) is None
