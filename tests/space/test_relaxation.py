"""The bounds that the solver prunes by must hold, or it would drop the optimum unseen."""

import itertools

import numpy as np
import pytest

from paredown.space.relaxation import Choices, Relaxation


def staircase(sizes: list[int], costs: list[float]) -> Choices:
    return Choices.of(np.array(sizes), np.array(costs), np.arange(len(sizes)))


def test_beaten_choices_go_and_of_equal_ones_the_first_stays() -> None:
    layer = staircase([5, 3, 3, 8, 9], [2.0, 4.0, 4.0, 2.0, 1.0])
    assert layer.column.tolist() == [1, 0, 4]
    assert layer.size.tolist() == [3, 5, 9]


def test_the_hull_leaves_out_what_lies_above_it() -> None:
    layer = staircase([0, 1, 2, 3, 4], [10.0, 9.0, 4.0, 3.5, 0.0])
    assert layer.size[layer.hull].tolist() == [0, 2, 4]


@pytest.mark.parametrize("seed", range(20))
def test_bounds_enclose_the_best_allocation_of_every_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, sizes = rng.random((4, 4)), rng.integers(0, 30, (4, 4))
    relaxed = Relaxation.of([staircase(size.tolist(), cost.tolist()) for size, cost in zip(sizes, costs, strict=True)])
    choices = np.array(list(itertools.product(range(4), repeat=4)))
    total_cost, total_size = costs[np.arange(4), choices].sum(axis=1), sizes[np.arange(4), choices].sum(axis=1)
    room = np.arange(-1, int(sizes.max(axis=1).sum()) + 2)
    best = np.array([total_cost[total_size <= limit].min(initial=np.inf) for limit in room])
    bound, steps = relaxed.bound(room), relaxed.whole_steps(room)
    assert np.array_equal(np.isinf(bound), np.isinf(best))
    assert np.array_equal(steps < 0, np.isinf(best))
    reachable = np.isfinite(best)
    assert (bound[reachable] <= best[reachable] * (1 + 1e-12)).all()  # sums in another order
    assert (relaxed.cost[steps[reachable]] >= best[reachable] * (1 - 1e-12)).all()


@pytest.mark.parametrize("seed", range(40))
def test_whole_steps_name_an_allocation_of_that_size_and_cost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 3000, (6, 5))
    # From seed 20 on all choices lie on one line, whose slope every step rounds in its own way.
    costs = rng.random((6, 5)) if seed < 20 else (3000 - sizes) * 0.1
    relaxed = Relaxation.of([staircase(size.tolist(), cost.tolist()) for size, cost in zip(sizes, costs, strict=True)])
    for steps in range(len(relaxed.size)):
        columns = relaxed.columns(steps)
        assert sizes[np.arange(6), columns].sum() == relaxed.size[steps]
        assert costs[np.arange(6), columns].sum() == pytest.approx(relaxed.cost[steps], rel=1e-12)  # sums in another order


def test_without_first_is_the_relaxation_of_the_others() -> None:
    rng = np.random.default_rng(2)
    layers = [staircase(rng.integers(0, 30, 5).tolist(), rng.random(5).tolist()) for _ in range(5)]
    shorter, direct = Relaxation.of(layers).without_first(), Relaxation.of(layers[1:])
    assert np.array_equal(shorter.size, direct.size)
    assert np.array_equal(shorter.layer, direct.layer)
    assert shorter.cost == pytest.approx(direct.cost, rel=1e-12)  # sums in another order
