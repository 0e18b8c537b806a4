"""Greedy removal of blocks against its definition, written out over all subsets."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.analysis.layer_order import LayerOrder, greedy_order, middle_order


class Table:
    """A score for every subset of blocks, drawn at random; remembers what was asked."""

    def __init__(self, blocks: int, seed: int, levels: int) -> None:
        rng = np.random.default_rng(seed)
        subsets = [kept for size in range(1, blocks + 1) for kept in itertools.combinations(range(blocks), size)]
        self.scores = {kept: float(rng.integers(0, levels)) for kept in subsets}
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, kept: tuple[int, ...]) -> float:
        self.asked.append(kept)
        return self.scores[kept]


@given(st.integers(1, 6), st.integers(0, 1000), st.sampled_from([2, 1000]), st.booleans(), st.integers(1, 6))
@settings(deadline=None, max_examples=150)
def test_every_step_is_the_best_single_removal(blocks: int, seed: int, levels: int, protect: bool, minimum: int) -> None:
    minimum = min(minimum, blocks)
    table = Table(blocks, seed, levels)
    order = greedy_order(range(blocks), table, protect_first_last=protect, minimum=minimum)
    kept = set(range(blocks))
    for block, score in zip(order.removed, order.scores, strict=True):
        candidates = sorted(kept - {0, blocks - 1}) if protect else sorted(kept)
        options = [(-table.scores[tuple(sorted(kept - {candidate}))], candidate) for candidate in candidates]
        assert (-score, block) == min(options)  # best score first, then the lowest index
        kept.remove(block)
    assert len(kept) == max(minimum, len({0, blocks - 1}) if protect else minimum)
    assert {0, blocks - 1} <= kept or not protect


@given(st.integers(1, 6), st.integers(0, 1000), st.booleans(), st.integers(1, 6))
@settings(deadline=None, max_examples=100)
def test_a_wide_search_finds_the_best_of_all_orders(blocks: int, seed: int, protect: bool, minimum: int) -> None:
    table = Table(blocks, seed, 1000)
    order = greedy_order(range(blocks), table, protect_first_last=protect, minimum=min(minimum, blocks), width=100)
    candidates = range(1, blocks - 1) if protect else range(blocks)

    def total(removed: tuple[int, ...]) -> float:
        stays = [tuple(block for block in range(blocks) if block not in removed[: gone + 1]) for gone in range(len(removed))]
        return sum(table.scores[kept] for kept in stays)

    assert sum(order.scores) == total(order.removed) == max(map(total, itertools.permutations(candidates, len(order.removed))))
    assert len(table.asked) == len(set(table.asked))


@given(st.integers(3, 7), st.integers(0, 1000), st.integers(2, 5))
@settings(deadline=None, max_examples=60)
def test_a_wider_search_asks_no_more_than_it_says(blocks: int, seed: int, width: int) -> None:
    table, calls = Table(blocks, seed, 1000), []
    greedy_order(range(blocks), table, width=width, progress=lambda done, total: calls.append((done, total)))
    assert len(table.asked) == len(set(table.asked)) == len(calls) <= calls[-1][1]
    assert len({total for _, total in calls}) == 1


def test_a_step_back_is_possible_with_width() -> None:
    """Block 1 is missed least, but beside it neither 2 nor 3 can be spared."""
    scores = {(): 9.0, (1,): 8.0, (2,): 7.0, (3,): 6.0, (1, 2): 1.0, (1, 3): 2.0, (2, 3): 6.5}

    def score(kept: tuple[int, ...]) -> float:
        return scores[tuple(block for block in range(5) if block not in kept)]

    assert greedy_order(range(5), score, minimum=3).removed == (1, 3)
    assert greedy_order(range(5), score, minimum=3, width=2) == LayerOrder((2, 3), (7.0, 6.5))


def test_asks_for_every_candidate_once_a_round_and_says_so() -> None:
    table, calls = Table(6, 0, 1000), []
    greedy_order(range(6), table, minimum=3, progress=lambda done, total: calls.append((done, total)))
    assert len(table.asked) == len(set(table.asked)) == 4 + 3 + 2
    assert calls == [(done, 9) for done in range(1, 10)]


def test_is_told_what_stays_before_every_round() -> None:
    table, settled = Table(5, 0, 1000), []
    order = greedy_order(range(5), table, settle=settled.append)
    stays = [tuple(block for block in range(5) if block not in order.removed[:gone]) for gone in range(len(order.removed))]
    assert settled == stays


def test_keeps_the_indices_it_is_given() -> None:
    order = greedy_order((2, 3, 5, 9), lambda kept: float(sum(kept)))
    assert order == LayerOrder((3, 5), (16.0, 11.0))


def test_impossible_requests_are_named() -> None:
    with pytest.raises(ValueError, match=r"must lie in \[1, 3\], got 4"):
        greedy_order(range(3), lambda _: 0.0, minimum=4)
    with pytest.raises(ValueError, match="got nan with blocks 0, 2"):
        greedy_order(range(3), lambda _: float("nan"))
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        greedy_order(range(3), lambda _: 0.0, width=0)
    with pytest.raises(ValueError, match="one score for each"):
        LayerOrder((1, 2), (0.5,))


@pytest.mark.parametrize(
    ("blocks", "protect", "minimum", "order"),
    [
        (6, True, 2, (2, 3, 4, 1)),  # the paper's sets, counted from 1: {3}, {3, 4}, {3, 4, 5}
        (6, True, 3, (2, 3, 4)),
        (6, False, 1, (2, 3, 4, 5, 1)),
        (5, True, 2, (2, 3, 1)),
        (2, True, 1, ()),
        (1, False, 1, ()),
    ],
)
def test_middle_removal_starts_in_the_middle(blocks: int, protect: bool, minimum: int, order: tuple[int, ...]) -> None:
    assert middle_order(range(blocks), protect_first_last=protect, minimum=minimum) == order


@pytest.mark.parametrize("minimum", [0, 7])
def test_middle_removal_leaves_a_possible_number(minimum: int) -> None:
    with pytest.raises(ValueError, match=r"blocks that stay must lie in \[1, 6\]"):
        middle_order(range(6), minimum=minimum)
