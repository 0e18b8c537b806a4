"""The whole frontier against brute force, against the solver at every point, and against HiGHS with scales and masks in the byte count."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import paredown.space.frontier as frontier_module
from paredown.space.cost import layer_bytes
from paredown.space.frontier import Frontier, frontier
from paredown.space.inventory import LayerInfo
from paredown.space.solver import solve
from tests.space.test_solver import BITS, SAME, every_allocation, random_instance, solve_by_highs

SHAPES = ((160, 160), (960, 160), (160, 960), (320, 160, 1), (160, 1, 15), (1000, 160))


def brute_force(costs: np.ndarray, sizes: np.ndarray) -> list[tuple[int, float]]:
    total_cost, total_size = every_allocation(costs, sizes)
    expected: list[tuple[int, float]] = []
    for size in np.unique(total_size):
        cheapest = total_cost[total_size == size].min()
        if not expected or cheapest < expected[-1][1] * (1 - SAME):
            expected.append((int(size), cheapest))
    return expected


def assert_same(found: Frontier, expected: list[tuple[int, float]]) -> None:
    assert found.size.tolist() == [size for size, _ in expected]
    assert found.sensitivity.tolist() == pytest.approx([cost for _, cost in expected], rel=SAME, abs=0)


@pytest.fixture(params=[64, 3])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Short windows too, so that small problems have seams and need their slack widened."""
    monkeypatch.setattr(frontier_module, "_WINDOW", request.param)
    return int(request.param)


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.usefixtures("window")
def test_equals_brute_force(seed: int) -> None:
    costs, sizes, _ = random_instance(np.random.default_rng(seed))
    assert_same(frontier(costs, sizes), brute_force(costs, sizes))


@given(arrays(np.int64, (4, 3), elements=st.integers(0, 4)), arrays(np.int64, (4, 3), elements=st.integers(0, 20)))
@settings(deadline=None, max_examples=200)
def test_equals_brute_force_where_much_is_equal(costs: np.ndarray, sizes: np.ndarray) -> None:
    assert_same(frontier(costs.astype(float), sizes), brute_force(costs.astype(float), sizes))


def masked_layers(rng: np.random.Generator, count: int, *, alike: bool) -> tuple[np.ndarray, np.ndarray]:
    """KL-like sensitivities, and the true bytes of layers of real shapes: scales, and masks with as many survivors as it happens."""
    layers = [LayerInfo(f"l{i}", "ctc", SHAPES[rng.integers(len(SHAPES))], "linear") for i in range(count)]
    shares = dict(zip(SHAPES, rng.uniform(0.2, 0.95, len(SHAPES)), strict=True))
    kept = [layer.weights - round((shares[layer.shape] if alike else rng.uniform(0, 1)) * layer.weights) for layer in layers]
    sizes = np.array([[layer_bytes(layer, int(bits), some) for bits in BITS] for layer, some in zip(layers, kept, strict=True)])
    costs = rng.lognormal(0, 2, (count, 1)) * 4.0**-BITS * rng.lognormal(0, 0.3, (count, len(BITS)))
    return costs, sizes


def without_pruning(costs: np.ndarray, sizes: np.ndarray) -> list[tuple[int, float]]:
    """The frontier by the plain dynamic programme: layer after layer, a dictionary of all sizes, pruned by dominance alone."""
    best = {0: 0.0}
    for cost_row, size_row in zip(costs, sizes, strict=True):
        reached: dict[int, float] = {}
        for (size, cost), (grown, paid) in itertools.product(best.items(), zip(size_row.tolist(), cost_row.tolist(), strict=True)):
            total = size + grown
            reached[total] = min(cost + paid, reached.get(total, np.inf))
        best, lowest = {}, np.inf
        for size in sorted(reached):
            if reached[size] < lowest * (1 - SAME):
                best[size] = lowest = reached[size]
    return list(best.items())


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.usefixtures("window")
def test_equals_the_plain_dynamic_programme_with_scales_and_masks(seed: int, alike: bool) -> None:
    costs, sizes = masked_layers(np.random.default_rng(seed), 18, alike=alike)
    found = frontier(costs, sizes)
    assert len(found) > 500
    assert_same(found, without_pruning(costs, sizes))


@pytest.mark.parametrize("seed", range(4))
def test_points_are_what_highs_and_the_solver_find(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    costs, sizes = masked_layers(rng, 40, alike=seed % 2 == 0)
    found = frontier(costs, sizes)
    for budget in rng.integers(found.size[0], found.size[-1] + 1000, 6):
        index = found.index(int(budget))
        assert found.sensitivity[index] == pytest.approx(solve(costs, sizes, int(budget)).sensitivity, rel=SAME)
        assert found.sensitivity[index] == pytest.approx(solve_by_highs(costs, sizes, int(budget)), rel=1e-9)


def test_every_point_has_its_allocation() -> None:
    costs, sizes = masked_layers(np.random.default_rng(7), 12, alike=True)
    found = frontier(costs, sizes)
    for index in range(0, len(found), 50):
        allocation = found.allocation(index)
        assert allocation.size == found.size[index]
        assert allocation.sensitivity == pytest.approx(found.sensitivity[index], rel=SAME)
        assert found.at(int(found.size[index])) == allocation


def test_budgets_out_of_reach_and_ample_ones() -> None:
    found = frontier(np.array([[3.0, 1.0]]), np.array([[10, 20]]))
    assert (found.at(10).choice, found.at(19).choice, found.at(10**9).choice) == ((0,), (0,), (1,))
    with pytest.raises(ValueError, match="at least 10, the smallest reachable size, got 9"):
        found.at(9)


def test_no_layers_are_one_point() -> None:
    found = frontier(np.zeros((0, 7)), np.zeros((0, 7), np.int64))
    assert (found.size.tolist(), found.sensitivity.tolist(), found.at(0).choice) == ([0], [0.0], ())


def test_a_table_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite and not negative, got -1"):
        frontier(np.array([[-1.0]]), np.array([[1]]))
