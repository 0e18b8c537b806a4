"""Semi-orthogonal factors: the start keeps the product, steps reach the constraint, training cannot leave it far."""

import pytest
import torch

from paredown.recover.semi_orthogonal import SemiOrthogonal, constrain, constrained_factors, parse_pattern, start_factors
from paredown.space.training import PATTERNS


def _matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def _error(matrix: torch.Tensor) -> float:
    """||M M^T - c I|| / ||M M^T|| of a wide matrix, c the mean of the diagonal."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    gram = (wide @ wide.t()).double()
    return float((gram - gram.trace() / len(gram) * torch.eye(len(gram))).norm() / gram.norm())


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("shape", [(24, 16), (16, 24), (5, 5)])
def test_the_product_is_the_best_approximation_under_every_pattern(pattern: str, shape: tuple[int, int]) -> None:
    weight = _matrix(*shape)
    down, up = start_factors(weight, 4, pattern)
    assert (down.shape, up.shape) == ((4, shape[1]), (shape[0], 4))
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(up @ down, (left[:, :4] * values[:4]) @ right[:4], rtol=1e-4, atol=1e-5)
    whole_down, whole_up = start_factors(weight, min(shape), pattern)
    torch.testing.assert_close(whole_up @ whole_down, weight, rtol=1e-4, atol=1e-5)
    assert (_error(down) < 1e-5) == (pattern == "SL")
    assert (_error(up) < 1e-5) == (pattern == "LS")


def test_patterns_are_checked() -> None:
    assert parse_pattern("SLLS") == {"w_1": "SL", "w_2": "LS"}
    for text, role in (("SSLL", "w_1"), ("LLSS", "w_2"), ("SL", "w_2"), ("SLLSL", "w_2"), ("XLLS", "w_1")):
        named = f"{role} of '{text}'"
        with pytest.raises(ValueError, match=named):
            parse_pattern(text)
    with pytest.raises(ValueError, match="the other must hold the singular values; got 'SS'"):
        start_factors(_matrix(4, 4), 2, "SS")
    for rank in (0, 5):
        with pytest.raises(ValueError, match=rf"rank must lie in \[1, 4\], got {rank}"):
            start_factors(_matrix(4, 9), rank, "SL")


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (8, 9)])
def test_steps_reach_the_constraint_without_losing_the_size(shape: tuple[int, int]) -> None:
    matrix = _matrix(*shape) * 3.0
    size, start = float(matrix.norm()), _error(matrix)
    for _ in range(60):
        constrain(matrix)
    assert _error(matrix) < 1e-4 < start
    assert 0.5 * size < float(matrix.norm()) < 2.0 * size


def test_a_step_is_that_of_the_paper_near_the_goal() -> None:
    """M - 1/(2 c) (P - c I) M, c = tr(P P^T) / tr(P)."""
    matrix = torch.linalg.qr(_matrix(20, 6))[0].t() * 2.0 + 0.002 * _matrix(6, 20, 1)
    gram = matrix @ matrix.t()
    c = (gram @ gram.t()).trace() / gram.trace()
    expected = matrix - (gram - c * torch.eye(6)) @ matrix / (2 * c)
    constrain(matrix)
    torch.testing.assert_close(matrix, expected)


def test_a_semi_orthogonal_matrix_stays() -> None:
    matrix = torch.linalg.qr(_matrix(20, 6))[0].t() * 0.7
    before = matrix.clone()
    constrain(matrix)
    torch.testing.assert_close(matrix, before, rtol=1e-5, atol=1e-6)


class _Factors(torch.nn.Module):
    """A feed-forward of factors, named as in a factorized network."""

    def __init__(self) -> None:
        super().__init__()
        for role in ("w_1", "w_2"):
            self.add_module(role, torch.nn.ModuleDict({"down": torch.nn.Linear(16, 4, bias=False), "up": torch.nn.Linear(4, 16)}))


def test_pattern_names_the_constrained_factors() -> None:
    assert list(constrained_factors(_Factors(), "SLLS")) == ["w_1.down.weight", "w_2.up.weight"]
    assert list(constrained_factors(_Factors(), "LSSL")) == ["w_1.up.weight", "w_2.down.weight"]
    assert constrained_factors(_Factors(), "LLLL") == {}


def _train(constrained: bool) -> float:
    """The largest error of the factors after some steps, with the hook or without."""
    torch.manual_seed(0)
    network, target = _Factors(), torch.randn(16, 16)
    factors = constrained_factors(network, "SLLS")
    hook = SemiOrthogonal(factors if constrained else {})
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(200):
        hook(step)
        product = network.get_parameter("w_2.up.weight") @ network.get_parameter("w_2.down.weight")
        product = product @ network.get_parameter("w_1.up.weight") @ network.get_parameter("w_1.down.weight")
        optimizer.zero_grad()
        (product - target).square().sum().backward()
        optimizer.step()
    return max(_error(matrix.detach()) for matrix in factors.values())


def test_training_stays_near_the_constraint() -> None:
    assert _train(constrained=True) < 0.1 < 0.3 < _train(constrained=False)


def test_the_hook_acts_every_few_steps() -> None:
    matrix = _matrix(4, 9)
    hook, before = SemiOrthogonal({"m": matrix}, every_steps=3), matrix.clone()
    for step in (1, 2):
        hook(step)
    assert torch.equal(matrix, before)
    hook(3)
    assert not torch.equal(matrix, before)
    with pytest.raises(ValueError, match="every 1 or more steps, got 0"):
        SemiOrthogonal({}, every_steps=0)
