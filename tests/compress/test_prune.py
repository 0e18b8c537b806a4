"""L1 pruning over a group, against torch's own global pruning."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import prune

from paredown.compress.prune import survivors


@pytest.mark.parametrize("share", [0.0, 0.05, 0.33, 0.5, 0.9])
def test_is_torchs_global_unstructured_pruning(share: float) -> None:
    rng = np.random.default_rng(0)
    weights = {"a": rng.standard_normal((30, 7), dtype=np.float32), "b": 3 * rng.standard_normal((11,), dtype=np.float32)}
    modules = [torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.tensor(weight))}) for weight in weights.values()]
    prune.global_unstructured([(module, "weight") for module in modules], pruning_method=prune.L1Unstructured, amount=share)
    for found, module in zip(survivors(weights, share).values(), modules, strict=True):
        assert np.array_equal(found, module["weight_mask"].numpy().astype(bool))


@given(st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=8), min_size=1, max_size=4), st.floats(0, 0.999))
@settings(deadline=None, max_examples=100)
def test_the_count_is_exact_and_ties_go_in_order(rows: list[list[int]], share: float) -> None:
    weights = {str(index): np.array(row, np.float32) for index, row in enumerate(rows)}
    flat = np.concatenate([np.abs(weight) for weight in weights.values()])
    expected = np.ones(flat.size, bool)
    expected[np.argsort(flat, kind="stable")[: round(share * flat.size)]] = False
    found = survivors(weights, share)
    assert np.array_equal(np.concatenate(list(found.values())), expected)
    assert [mask.shape for mask in found.values()] == [weight.shape for weight in weights.values()]


def test_an_empty_group_has_no_masks() -> None:
    assert survivors({}, 0.5) == {}


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=rf"sparsity must lie in \[0, 1\), got {share}"):
        survivors({"a": np.ones(3, np.float32)}, share)
