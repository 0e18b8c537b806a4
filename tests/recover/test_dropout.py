"""Pooled dropout: the mean, the rate, its gradient, its randomness."""

import pytest
import torch

from paredown.recover.dropout import DropoutPool, PooledDropout

SIZE = 2**20


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_mean_and_rate_are_kept(p: float) -> None:
    dropout = PooledDropout(p, DropoutPool(p, seed=0, size=2 * SIZE))
    out = dropout(torch.ones(SIZE))
    # 4 standard deviations of a Bernoulli mean over 2^20 draws; bfloat16 moves the rate itself by at most 2^-8
    slack = 4 * (p * (1 - p) / SIZE) ** 0.5
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=slack + 2**-8)
    assert float(out.mean()) == pytest.approx(1.0, abs=slack / (1 - p))
    assert len(out.unique()) == 2


def test_gradient_passes_through_the_same_mask() -> None:
    dropout = PooledDropout(0.5, DropoutPool(0.5, seed=0, size=SIZE))
    values = torch.randn(40, 50, requires_grad=True)
    out = dropout(values)
    out.sum().backward()
    assert torch.allclose(values.grad * values, out)
    assert 0 < int((values.grad == 0).sum()) < values.numel()


def test_masks_change_and_follow_the_global_generator() -> None:
    dropout, values = PooledDropout(0.5, DropoutPool(0.5, seed=0, size=SIZE)), torch.ones(1000)
    torch.manual_seed(1)
    first, second = dropout(values), dropout(values)
    torch.manual_seed(1)
    assert torch.equal(dropout(values), first)
    assert not torch.equal(first, second)


def test_bfloat16_stays_bfloat16() -> None:
    out = PooledDropout(0.1, DropoutPool(0.1, seed=0, size=SIZE))(torch.ones(1000, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16


def test_evaluation_is_the_identity() -> None:
    values = torch.randn(10)
    assert PooledDropout(0.5, DropoutPool(0.5, seed=0, size=64)).eval()(values) is values


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1\.0"):
        DropoutPool(1.0, seed=0)
    with pytest.raises(ValueError, match="smaller than the pool of 64 values, got 64"):
        PooledDropout(0.5, DropoutPool(0.5, seed=0, size=64))(torch.ones(64))
