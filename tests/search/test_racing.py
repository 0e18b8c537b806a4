"""Subsets are nested and spread; a candidate stops exactly where an interval says so, and true members of the front hardly ever do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paredown.search.racing import Cost, Floor, Gap, Rival, Rule, Subsets, costs_no_more, judge

SIZE = Cost("size_bytes", 10.0)


def gap(points: float, error: float = 1.0, utterances: int = 50, of: int = 200) -> Gap:
    return Gap(points, error, utterances, of)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300), st.integers(0, 2**31))
def test_subsets_are_nested_and_end_with_everything(lengths: list[float], seed: int) -> None:
    subsets = Subsets.of(lengths, seed)
    assert sorted(subsets.known(len(subsets) - 1)) == list(range(len(lengths)))
    assert subsets == Subsets.of(lengths, seed)
    together: tuple[int, ...] = ()
    for look in range(len(subsets)):
        together += subsets.fresh(look)
        assert together == subsets.known(look)
    assert all(0 < small < large for small, large in zip(subsets.sizes, subsets.sizes[1:], strict=False))


@given(st.integers(20, 400), st.integers(2, 64), st.integers(0, 99))
def test_every_beginning_is_spread_evenly_over_lengths(utterances: int, first: int, seed: int) -> None:
    lengths = np.random.default_rng(seed).permutation(utterances)
    order = lengths[list(Subsets.of(lengths.tolist(), seed).order)][: min(first, utterances)]
    chosen = len(order)
    for quarter in range(4):  # of the lengths, which are the ranks here
        inside = ((order >= quarter * utterances / 4) & (order < (quarter + 1) * utterances / 4)).sum()
        assert abs(inside - chosen / 4) <= 2  # two turns between halves, each off by one at most, and halves that differ by one


def test_subsets_of_the_bundled_size_grow_geometrically() -> None:
    assert Subsets.of(range(200), 0).sizes == (16, 30, 57, 106, 200)
    assert Subsets.of(range(16), 0).sizes == (16,)
    assert Subsets.of(range(18), 0).sizes == (16, 18)
    assert Subsets.of(range(1000), 0, first=10, growth=10).sizes == (10, 100, 1000)


def test_another_seed_takes_other_utterances() -> None:
    assert len({Subsets.of(range(200), seed).known(0) for seed in range(20)}) == 20


@pytest.mark.parametrize(("lengths", "first", "growth"), [([], 16, 2.0), ([1.0], 1, 2.0), ([1.0], 16, 1.0)])
def test_subsets_refuse_what_cannot_be(lengths: list[float], first: int, growth: float) -> None:
    with pytest.raises(ValueError, match="subsets need"):
        Subsets.of(lengths, 0, first, growth)


def test_the_bound_is_students_with_the_finite_population() -> None:
    assert gap(-1.0, 2.0, 50, 200).upper(0.99) == pytest.approx(-1.0 + stats.t.ppf(0.99, 49) * 2.0 * np.sqrt(1 - 50 / 200))
    assert gap(-1.0, 2.0, 200, 200).upper(0.99) == -1.0


def test_the_bound_covers_the_full_score_as_often_as_it_says() -> None:
    """Means of normal values, drawn without putting back; 2,000 draws, of whose own error of 0.5 % the tolerance is three times."""
    rng = np.random.default_rng(0)
    everything = rng.normal(4.0, 1.0, 200)
    below = 0
    for _ in range(2000):
        some = rng.choice(everything, 57, replace=False)
        below += Gap(some.mean(), some.std(ddof=1) / np.sqrt(57), 57, 200).upper(0.95) < everything.mean()
    assert below / 2000 == pytest.approx(0.05, abs=0.015)


def test_a_clear_rival_stops_a_candidate_and_is_named() -> None:
    rivals = [Rival(4, (SIZE,), gap(-4.0)), Rival(12, (SIZE,), gap(-9.0)), Rival(3, (SIZE,), gap(+1.0))]
    verdict = judge([SIZE], rivals, unit="chrF")
    assert verdict.stop
    assert verdict.reason == f"dominated by trial 12 on 50 of 200 utterances: chrF -9.0, at most {gap(-9.0).upper(0.99):+.1f}"


@pytest.mark.parametrize("points", [-2.0, 0.0, 3.0])
def test_within_noise_nobody_is_stopped(points: float) -> None:
    assert not judge([SIZE], [Rival(1, (SIZE,), gap(points))]).stop


def test_equal_texts_stop_nobody() -> None:
    assert not judge([SIZE], [Rival(1, (SIZE,), gap(0.0, error=0.0))]).stop


def test_a_rival_that_costs_more_in_anything_stops_nobody() -> None:
    own = (Cost("latency_ms@cpu", 80.0), Cost("size_bytes", 10.0))
    dear = [Rival(1, (Cost("latency_ms@cpu", 80.1), Cost("size_bytes", 1.0)), gap(-50.0))]
    assert not judge(own, dear).stop
    assert judge(own, [Rival(1, own, gap(-50.0))]).stop


def test_a_tolerance_takes_costs_that_cannot_be_told_apart_for_equal() -> None:
    own, theirs = Cost("latency_ms@cpu", 80.0, 0.05), Cost("latency_ms@cpu", 83.0, 0.02)
    assert costs_no_more([theirs], [own])
    assert not costs_no_more([Cost("latency_ms@cpu", 84.1)], [own])
    with pytest.raises(ValueError, match="costs must be the same"):
        costs_no_more([SIZE], [own])


def test_a_broken_budget_stops_and_a_budget_in_doubt_does_not() -> None:
    verdict = judge([SIZE], [], [Floor("quality >= -1", gap(-8.0), -1.0)], unit="chrF")
    assert verdict.stop
    assert verdict.reason.startswith("breaks the budget quality >= -1 on 50 of 200 utterances: chrF -8.0, at most -5.9")
    assert not judge([SIZE], [], [Floor("quality >= -1", gap(-2.0), -1.0)]).stop


def test_on_the_whole_split_the_trial_is_complete() -> None:
    known = gap(-50.0, utterances=200)
    assert not judge([SIZE], [Rival(1, (SIZE,), known)], [Floor("quality >= -1", known, -1.0)]).stop


def test_a_hair_ends_those_that_would_barely_be_on_the_front() -> None:
    rivals = [Rival(1, (SIZE,), gap(-2.0))]  # at most +0.1
    assert not judge([SIZE], rivals).stop
    assert judge([SIZE], rivals, rule=Rule(hair=0.2)).stop


@pytest.mark.parametrize("bad", [lambda: gap(0.0, -1.0), lambda: gap(float("nan")), lambda: gap(0.0, utterances=1), lambda: Rule(0.4)])
def test_what_is_no_gap_or_rule_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"must|needs|is known"):
        bad()  # type: ignore[operator]
