"""Picks: worked out by hand, and what is said when there is nothing to pick."""

import math

import pytest

from paredown.errors import BadInput
from paredown.search.budget import make_budget
from paredown.search.objective import Objective
from paredown.search.pick import best_feasible, pick_trial
from tests.search.toy import toy_spec, trial

OBJECTIVES = toy_spec().objective_list
TRIALS = [
    trial(0, 0.0, 100.0, 16e6),
    trial(1, -1.0, 60.0, 4e6),
    trial(2, -10.0, 25.0, 4e6),
    trial(3, -8.0, 80.0, 1e6),
    trial(4, -2.0, 70.0, 8e6),  # dominated by 1
    trial(5, 0.0, 0.0, 0.0, "rejected"),
]


@pytest.mark.parametrize(("rule", "number"), [("best", 0), ("fastest", 2), ("smallest", 3), ("knee", 1)])
def test_rules(rule: str, number: int) -> None:
    assert pick_trial(rule, TRIALS, OBJECTIVES).number == number


def test_knee_counts_costs_in_logarithms() -> None:
    """Sizes 1, 4, 16 MB: 4 lies in the middle by logarithm (distances 0.707 at trial 1), but at a fifth linearly."""
    two = (OBJECTIVES[0], OBJECTIVES[2])
    trials = [trial(0, 0.0, 1.0, 16e6), trial(1, -5.0, 1.0, 4e6), trial(2, -10.0, 1.0, 1e6), trial(3, -3.4, 1.0, 6e6)]
    by_hand = {0: 1.0, 1: math.hypot(0.5, 0.5), 2: 1.0, 3: math.hypot(0.34, math.log(6) / math.log(16))}
    assert by_hand[3] > by_hand[1]
    assert pick_trial("knee", trials, two).number == 1
    linear = {1: math.hypot(0.5, 3 / 15), 3: math.hypot(0.34, 5 / 15)}
    assert linear[3] < linear[1]  # so the logarithm decides here


def test_a_dominated_trial_does_not_stretch_the_scale() -> None:
    """Quality runs from -4 to 0 on the front, so trial 1 at -3 is far from ideal; over -40 to 0 it would look near."""
    two = (OBJECTIVES[0], OBJECTIVES[2])
    front = [trial(0, 0.0, 1.0, 8e6), trial(1, -3.0, 1.0, 2e6), trial(2, -4.0, 1.0, 1e6), trial(3, -1.0, 1.0, 4e6)]
    assert pick_trial("knee", front, two).number == 3
    stretched = [*front, trial(4, -40.0, 1.0, 1.5e6)]
    assert pick_trial("knee", stretched, two).number == 3


def test_the_ideal_point_is_that_of_the_front_within_the_budgets() -> None:
    """With trial 0 out of reach, quality runs from -10 to -1 only; the scaling must follow."""
    budgets = [make_budget("size", "5 MB"), make_budget("latency@cpu", "90 ms")]
    assert pick_trial("best", TRIALS, OBJECTIVES, budgets).number == 1
    assert pick_trial("knee", TRIALS, OBJECTIVES, budgets).number == 1
    assert pick_trial("smallest", TRIALS, OBJECTIVES, [make_budget("quality", "-1.5")]).number == 1


def test_among_equally_small_the_better_quality_wins_then_the_lower_number() -> None:
    trials = [trial(0, -5.0, 10.0, 1e6), trial(1, -1.0, 50.0, 1e6), trial(2, -1.0, 50.0, 1e6)]
    assert pick_trial("smallest", trials, OBJECTIVES).number == 1


def test_one_trial_is_every_pick() -> None:
    for rule in ("knee", "smallest", "fastest", "best"):
        assert pick_trial(rule, TRIALS[:1], OBJECTIVES).number == 0


def test_nothing_feasible_names_the_nearest_and_its_miss() -> None:
    budgets = [make_budget("size", "3 MB"), make_budget("quality", "-0.5")]
    limits = "no trial keeps size <= 3 MB, quality >= -0.5 chrF"
    expected = f"{limits}; nearest is trial 1: size is 4 MB, 1 MB above and quality is -1 chrF, 0.5 chrF below"
    with pytest.raises(BadInput) as caught:
        pick_trial("knee", TRIALS, OBJECTIVES, budgets)
    assert str(caught.value) == expected


def test_no_trials_unknown_rules_and_missing_objectives() -> None:
    with pytest.raises(BadInput, match="this study has none among 1"):
        pick_trial("knee", TRIALS[-1:], OBJECTIVES)
    with pytest.raises(BadInput, match="got 'smalest'; did you mean smallest"):
        pick_trial("smalest", TRIALS, OBJECTIVES)
    with pytest.raises(BadInput, match="pick fastest needs an objective latency_ms; this study has quality"):
        pick_trial("fastest", TRIALS, [Objective("quality", "maximize", "chrF")])


def test_best_so_far() -> None:
    assert best_feasible(TRIALS, OBJECTIVES, [make_budget("size", "5 MB")]) == ((-1.0, 1), (25.0, 2), (1e6, 3))
    assert best_feasible(TRIALS, OBJECTIVES, [make_budget("size", "5 kB")]) == (None, None, None)
