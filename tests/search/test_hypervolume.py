"""Hypervolume against inclusion-exclusion, a Monte Carlo estimate and Optuna's own; that of a study worked out by hand."""

import math
from itertools import combinations, pairwise

import numpy as np
import optuna._hypervolume as optuna_hypervolume
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.search.budget import make_budget
from paredown.search.hypervolume import Volume, hypervolume, reference_point, scaled
from tests.search.toy import UNCOMPRESSED, outcome, toy_spec, trial

OBJECTIVES = toy_spec().objective_list
CORNER = (5.0, 5.0, 5.0)
point = st.tuples(*[st.integers(0, 6)] * 3)
points = st.lists(point, max_size=7)


def by_inclusion_exclusion(rows: list[tuple[int, ...]], corner: tuple[float, ...]) -> float:
    """Boxes between each point and the corner; what several have in common is the box of their worst values."""
    total = 0.0
    for count in range(1, len(rows) + 1):
        for some in combinations(rows, count):
            sides = [max(0.0, end - max(column)) for column, end in zip(zip(*some, strict=True), corner, strict=True)]
            total += (-1) ** (count + 1) * math.prod(sides)
    return total


@given(points)
def test_equals_inclusion_and_exclusion(rows: list[tuple[int, ...]]) -> None:
    # Whole numbers below 2^53 throughout: both sums are exact.
    assert hypervolume(np.array(rows, dtype=float).reshape(-1, 3), CORNER) == by_inclusion_exclusion(rows, CORNER)


@given(points, point)
def test_a_dominated_point_adds_nothing_and_no_point_takes_away(rows: list[tuple[int, ...]], other: tuple[int, ...]) -> None:
    before, after = (hypervolume(np.array(some, dtype=float).reshape(-1, 3), CORNER) for some in (rows, [*rows, other]))
    dominated = any(all(a <= b for a, b in zip(row, other, strict=True)) for row in rows)
    beyond = any(a >= b for a, b in zip(other, CORNER, strict=True))
    assert after == before if dominated or beyond else after > before


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_equals_a_monte_carlo_estimate_and_optuna(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    rows, corner = rng.random((20, objectives)), np.ones(objectives)
    found = hypervolume(rows, corner)
    drawn = rng.random((40_000, objectives))
    share = (rows[None] <= drawn[:, None]).all(axis=2).any(axis=1).mean()
    # Five standard deviations of a share of 40,000 draws: 5 * 0.5 / 200.
    assert found == pytest.approx(share, abs=0.0125)
    if objectives > 1:
        assert found == pytest.approx(optuna_hypervolume.compute_hypervolume(rows, corner))  # sums in another order: 1e-6 is ample


def test_shapes_that_do_not_fit_are_refused() -> None:
    for rows, corner in ((np.zeros(3), CORNER), (np.zeros((2, 2)), CORNER)):
        with pytest.raises(ValueError, match="a hypervolume needs points"):
            hypervolume(rows, corner)


def test_of_a_study_by_hand() -> None:
    """Two boxes and what they share: the uncompressed model's own, and that of half its size at 55 % of its latency."""
    first = trial(0, 0.0, 100.0, 16e6)
    plain = type(first)(0, "complete", UNCOMPRESSED, first.outcome)
    volume = Volume(OBJECTIVES)
    assert volume.of([trial(1, -2.0, 55.0, 8e6)]) is None
    alone = 10.0 * math.log(1.1) ** 2
    assert Volume(OBJECTIVES).of([plain]) == pytest.approx(alone)  # rounding of logarithms
    both = 8.0 * math.log(2.0) * math.log(2.2) + alone - 8.0 * math.log(1.1) ** 2
    assert volume.of([plain, trial(1, -2.0, 55.0, 8e6)]) == pytest.approx(both)
    corner = reference_point([plain], OBJECTIVES)
    assert corner is not None
    assert corner.tolist() == pytest.approx([10.0, math.log(110.0), math.log(17.6e6)])
    assert scaled((-2.0, 55.0, 8e6), OBJECTIVES) == (2.0, math.log(55.0), math.log(8e6))


def test_what_misses_a_budget_or_is_not_complete_does_not_count() -> None:
    first = trial(0, 0.0, 100.0, 16e6)
    plain = type(first)(0, "complete", UNCOMPRESSED, first.outcome)
    others = [trial(1, -2.0, 55.0, 8e6), trial(2, -9.0, 55.0, 2e6), trial(3, 0.0, 1.0, 1.0, "stopped"), trial(4, 0.0, 1.0, 1.0, "running")]
    budgets = [make_budget("quality", "-5")]
    assert Volume(OBJECTIVES, budgets).of([plain, *others]) == Volume(OBJECTIVES).of([plain, others[0]])
    assert Volume(OBJECTIVES, [make_budget("size", "1 MB")]).of([plain, others[0]]) == 0.0


def test_one_trial_after_another_gives_what_all_at_once_give() -> None:
    rng = np.random.default_rng(0)
    trials = [trial(number, rng.uniform(-9, 1), rng.uniform(1, 90), rng.uniform(1, 90)) for number in range(30)]
    trials[7] = type(trials[7])(7, "complete", UNCOMPRESSED, outcome(0.0, 80.0, 80.0))
    volume, seen = Volume(OBJECTIVES), []
    for count in range(len(trials) + 1):
        seen.append(volume.of(trials[:count]))
        assert seen[-1] == volume.of(trials[:count])
    assert seen[:8] == [None] * 8
    assert seen[-1] == pytest.approx(Volume(OBJECTIVES).of(trials[::-1]))  # sums in another order
    assert all(later >= earlier for earlier, later in pairwise(seen) if earlier is not None and later is not None)
    # A trial that was running when it was first seen counts as soon as it is complete.
    late = Volume(OBJECTIVES)
    assert late.of([*trials[:9], trial(9, 0.0, 1.0, 1.0, "running"), *trials[10:]]) != seen[-1]
    assert late.of(trials) == pytest.approx(seen[-1])
