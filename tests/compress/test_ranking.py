"""Counts of survivors against the masks themselves, ties and edges included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.compress.prune import survivors
from paredown.compress.ranking import Ranking

# Few different numbers, so that most thresholds fall among ties; both zeros, the smallest and the largest float32, infinity.
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, -1e-45, 3.4028235e38, float("inf"), 1.0000001])
SHARES = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1e-9, 0.25, 0.5, 0.75, 1 - 2**-53])


@given(st.lists(st.lists(NUMBERS | st.floats(width=32, allow_nan=False), max_size=9), max_size=5), st.lists(SHARES, min_size=1, max_size=4))
@settings(deadline=None, max_examples=400)
def test_counts_are_those_of_the_masks(rows: list[list[float]], shares: list[float]) -> None:
    weights = {str(index): np.array(row, np.float32) for index, row in enumerate(rows)}
    ranking = Ranking(weights)
    for share in shares:
        expected = {name: int(mask.sum()) for name, mask in survivors(weights, share).items()}
        assert ranking.count_survivors(weights, share) == expected


def test_any_selection_in_any_order_is_ranked_on_its_own() -> None:
    rng = np.random.default_rng(0)
    state = {name: rng.integers(-3, 4, shape).astype(np.float32) for name, shape in (("a", (4, 5)), ("b", (3, 2, 2)), ("c", (9,)))}
    ranking = Ranking(state)
    for names in (("a", "b", "c"), ("c", "a"), ("b",), ("c", "b", "a"), ()):
        for share in (0.1, 0.5, 0.77):
            masks = survivors({name: state[name] for name in names}, share)
            assert ranking.count_survivors(names, share) == {name: int(mask.sum()) for name, mask in masks.items()}


def test_rules_are_named() -> None:
    ranking = Ranking({"a": np.ones(3, np.float32), "b": np.float32([1, np.nan])})
    with pytest.raises(ValueError, match=r"sparsity must lie in \[0, 1\), got 1.0"):
        ranking.count_survivors(["a"], 1.0)
    with pytest.raises(ValueError, match="a weight to rank must be a number, got NaN in b"):
        ranking.count_survivors(["b"], 0.5)
