"""Who is trained longer: worked out by hand, and what holds whatever the figures are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.search.halving import Contestant, find_promotable, rank


def numbers(contestants: tuple[Contestant, ...]) -> list[int]:
    return [each.trial for each in contestants]


def test_fronts_come_one_after_the_other_and_quality_decides_on_each() -> None:
    """Losses (quality, size): 0, 1 and 2 form the first front, 3 and 4 the second, 5 is behind both."""
    points = [(3.0, 1.0), (1.0, 4.0), (2.0, 2.0), (3.0, 3.0), (2.5, 5.0), (4.0, 6.0)]
    contestants = [Contestant(number, losses) for number, losses in enumerate(points)]
    assert numbers(rank(contestants)) == [1, 2, 0, 4, 3, 5]
    assert numbers(rank(contestants[::-1])) == [1, 2, 0, 4, 3, 5]


def test_what_misses_a_budget_on_costs_comes_last_however_good_it_is() -> None:
    contestants = [Contestant(0, (0.0, 1.0), 0.5), Contestant(1, (9.0, 9.0)), Contestant(2, (5.0, 1.0), 0.1), Contestant(3, (8.0, 9.5))]
    assert numbers(rank(contestants)) == [3, 1, 2, 0]


def test_what_misses_a_budget_on_costs_is_never_trained_longer() -> None:
    """Three trials would let one go on; the best of them is the only one within the budgets, and was promoted."""
    within, beyond = Contestant(0, (5.0,), promoted=True), [Contestant(number, (1.0,), 0.1) for number in (1, 2)]
    assert find_promotable([[within, *beyond], []], 3) == ()
    assert find_promotable([beyond * 3, []], 3) == ()


def test_a_third_of_a_rung_goes_on_the_highest_rung_first() -> None:
    """Seven short recoveries let two go on, three longer ones let one; of those the best was promoted before."""
    short = [Contestant(number, (float(number),), promoted=number == 0) for number in range(7)]
    longer = [Contestant(10 + number, (float(number),)) for number in range(3)]
    assert [(rung, each.trial) for rung, each in find_promotable([short, longer, []], 3)] == [(1, 10), (0, 1)]


def test_too_few_promote_nobody_and_the_last_rung_is_the_end() -> None:
    two = [Contestant(number, (float(number),)) for number in range(2)]
    assert find_promotable([two, []], 3) == ()
    assert find_promotable([two, two * 5], 3) == ()
    with pytest.raises(ValueError, match="eta must be at least 2, got 1"):
        find_promotable([two, []], 1)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12), st.integers(2, 4))
def test_nobody_is_ranked_behind_one_that_it_dominates(points: list[tuple[int, int]], eta: int) -> None:
    contestants = [Contestant(number, (float(one), float(two))) for number, (one, two) in enumerate(points)]
    ranked = rank(contestants)
    assert sorted(numbers(ranked)) == list(range(len(points)))
    for place, better in enumerate(ranked):
        for worse in ranked[:place]:
            here, there = np.array(better.losses), np.array(worse.losses)
            assert not ((here <= there).all() and (here < there).any())
    assert len(find_promotable([contestants, []], eta)) == len(points) // eta
