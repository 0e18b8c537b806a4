"""The solver against brute force, against HiGHS, and against the properties of its own definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import block_diag, csr_array

from paredown.space.solver import solve

BITS = np.arange(2, 9)
# Both sides add the same positive float64 numbers in another order: a few hundred roundings of 1e-16.
SAME = 1e-12


def every_allocation(costs: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Summed cost and summed size of every choice of one column a row, the rows added in order."""
    choices = np.array(list(itertools.product(range(costs.shape[1]), repeat=len(costs))))
    rows = np.arange(len(costs))
    return costs[rows, choices].sum(axis=1), sizes[rows, choices].sum(axis=1)


def random_instance(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    layers, widths = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    kind = rng.integers(4)
    if kind == 0:  # as in a network: KL falling with the width, nominal bits
        costs = rng.lognormal(0, 2, (layers, 1)) * 4.0 ** -BITS[:widths] * rng.lognormal(0, 0.5, (layers, widths))
        sizes = rng.choice([8, 24, 100], layers)[:, None] * BITS[:widths]
    elif kind == 1:  # nothing is monotone, sizes neither
        costs, sizes = rng.random((layers, widths)), rng.integers(0, 1000, (layers, widths))
    elif kind == 2:  # many exact ties
        costs, sizes = rng.integers(0, 3, (layers, widths)).astype(float), rng.integers(0, 4, (layers, widths))
    else:  # cost and size trade one for one: every bound is tight
        sizes = rng.integers(0, 50, (layers, widths))
        costs = (60 - sizes).astype(float)
    smallest, largest = sizes.min(axis=1).sum(), sizes.max(axis=1).sum()
    return costs, sizes, int(rng.integers(smallest, largest + 1))


@pytest.mark.parametrize("seed", range(200))
def test_equals_brute_force(seed: int) -> None:
    costs, sizes, budget = random_instance(np.random.default_rng(seed))
    total_cost, total_size = every_allocation(costs, sizes)
    found = solve(costs, sizes, budget)
    assert found.sensitivity == pytest.approx(total_cost[total_size <= budget].min(), rel=SAME, abs=0)
    rows = np.arange(len(costs))
    assert found.sensitivity == costs[rows, found.choice].sum()
    assert found.size == sizes[rows, found.choice].sum() <= budget


def solve_by_highs(costs: np.ndarray, sizes: np.ndarray, budget: int) -> float:
    layers, widths = costs.shape
    one_each = csr_array(block_diag([np.ones((1, widths))] * layers))
    # HiGHS stops at an absolute gap of 1e-6, whatever the relative one: costs are scaled so that this is nothing.
    scale = 1e6 / costs.mean()
    result = milp(
        costs.ravel() * scale,
        integrality=np.ones(costs.size),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(sizes.reshape(1, -1).astype(float), -np.inf, budget)],
        options={"mip_rel_gap": 0.0},
    )
    assert result.status == 0, result.message
    chosen = result.x.reshape(costs.shape).argmax(axis=1)
    rows = np.arange(layers)
    assert sizes[rows, chosen].sum() <= budget
    return float(costs[rows, chosen].sum())


@pytest.mark.parametrize("seed", range(20))
def test_equals_highs_on_larger_instances(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    layers = int(rng.integers(20, 61))
    noise = 0.2 if seed % 2 else 1.0  # with much noise a wider code is often worse
    costs = rng.lognormal(0, 1.5, (layers, 1)) * 4.0**-BITS * rng.lognormal(0, noise, (layers, 7))
    sizes = rng.choice([1440, 25_600, 51_200, 153_600, 160_000], layers)[:, None] * BITS
    budget = int(sizes[:, 0].sum() * rng.uniform(1.0, 4.0))
    # HiGHS scales its rows, so its feasibility tolerance of 1e-6 allows relative errors of about that size in neither sum here;
    # both are recomputed from the chosen columns.
    assert solve(costs, sizes, budget).sensitivity == pytest.approx(solve_by_highs(costs, sizes, budget), rel=1e-9)


@given(
    arrays(np.int64, (4, 3), elements=st.integers(0, 4)),
    arrays(np.int64, (4, 3), elements=st.integers(0, 20)),
    st.integers(0, 80),
)
@settings(deadline=None, max_examples=100)
def test_takes_the_smallest_of_equally_good_ones(costs: np.ndarray, sizes: np.ndarray, budget: int) -> None:
    total_cost, total_size = every_allocation(costs, sizes)
    if budget < total_size.min():
        with pytest.raises(ValueError, match=f"at least {total_size.min()}"):
            solve(costs.astype(float), sizes, budget)
        return
    best = total_cost[total_size <= budget].min()
    found = solve(costs.astype(float), sizes, budget)
    assert (found.sensitivity, found.size) == (best, total_size[total_cost == best].min())


def test_more_budget_is_never_worse_and_results_repeat() -> None:
    rng = np.random.default_rng(3)
    costs, sizes = rng.random((60, 7)), rng.integers(1, 10_000, (60, 7))
    budgets = np.linspace(sizes.min(axis=1).sum(), sizes.max(axis=1).sum(), 30).astype(int)
    found = [solve(costs, sizes, int(budget)) for budget in budgets]
    assert all(later.sensitivity <= earlier.sensitivity for earlier, later in itertools.pairwise(found))
    assert found == [solve(costs, sizes, int(budget)) for budget in budgets]


def test_small_costs_beside_huge_ones_keep_their_precision() -> None:
    costs = np.array([[1e12, 3e-9], [1e12, 1e-9], [2e-9, 1e-9]])
    sizes = np.array([[1, 2], [1, 2], [1, 2]])
    assert solve(costs, sizes, 5).choice == (1, 1, 0)
    assert solve(costs, sizes, 6).choice == (1, 1, 1)


def test_a_budget_out_of_reach_names_the_smallest_size() -> None:
    with pytest.raises(ValueError, match="at least 30, the smallest reachable size, got 29"):
        solve(np.ones((2, 2)), np.array([[10, 20], [25, 20]]), 29)


def test_no_layers_cost_nothing() -> None:
    assert solve(np.zeros((0, 7)), np.zeros((0, 7), np.int64), 0).choice == ()


@pytest.mark.parametrize(
    ("costs", "sizes", "rule"),
    [
        (np.ones((2, 3)), np.ones((2, 2), np.int64), "one shape"),
        (np.ones((2, 0)), np.ones((2, 0), np.int64), "one shape"),
        (np.full((1, 2), np.nan), np.ones((1, 2), np.int64), "finite and not negative, got nan"),
        (np.full((1, 2), -1.0), np.ones((1, 2), np.int64), "finite and not negative, got -1"),
        (np.ones((1, 2)), np.array([[1, -2]]), "must not be negative, got -2"),
        (np.ones((1, 2)), np.ones((1, 2)), "must be integers"),
    ],
)
def test_malformed_tables_are_refused(costs: np.ndarray, sizes: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        solve(costs, sizes, 10)
