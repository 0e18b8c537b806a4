"""The greedy order against a brute-force reading of its definition."""

import itertools
import random

import pytest

from paredown.analysis.layer_order import greedy_order


def by_definition(blocks: list[int], score: dict[tuple[int, ...], float], minimum: int) -> list[int]:
    """At each step: all subsets one smaller that keep the ends, the best of them, the lowest removed index among equals."""
    kept, removed = tuple(blocks), []
    while len(kept) > max(minimum, 2):
        choices = [c for c in itertools.combinations(kept, len(kept) - 1) if c[0] == blocks[0] and c[-1] == blocks[-1]]
        top = max(score[c] for c in choices)
        gone, kept = min((next(iter(set(kept) - set(c))), c) for c in choices if score[c] == top)
        removed.append(gone)
    return removed


@pytest.mark.parametrize("seed", range(20))
def test_order_is_the_greedy_one(seed: int) -> None:
    rng = random.Random(seed)
    blocks = list(range(6))
    # few different values, so that ties happen
    score = {c: float(rng.randrange(4)) for size in range(1, 7) for c in itertools.combinations(blocks, size)}
    order = greedy_order(blocks, score.__getitem__, minimum=2)
    assert list(order.removed) == by_definition(blocks, score, 2)


def test_scores_are_those_after_each_removal() -> None:
    order = greedy_order(range(4), lambda kept: float(sum(kept)))
    assert order.removed == (1, 2)  # the ends stay
    assert order.scores == (5.0, 3.0)


def test_unprotected_ends_can_go() -> None:
    assert greedy_order(range(3), lambda kept: float(sum(kept)), protect_ends=False).removed == (0, 1)


def test_one_block_must_stay() -> None:
    with pytest.raises(ValueError, match="at least 1 block must stay, got 0"):
        greedy_order(range(3), lambda kept: 0.0, minimum=0)
