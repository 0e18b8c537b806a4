"""Guesses: Gaussian conditioning by another way, damage that adds up, and hyperparameters that are the likeliest."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from paredown.search.guess import ANYTHING, LEAST, LOSS, POWERS, Guess, Kept, Prior, Scales, fitting_size

GENTLEST = (1.0, 0.0, 0.0)
Real = NDArray[np.float64]


def damage(x: Real) -> Real:
    """Each knob by itself: bits, blocks, zeros."""
    found: Real = 8.0 * (1.0 - x[:, 0]) ** 5 + 6.0 * x[:, 1] ** 2 + 3.0 * x[:, 2]
    return found


def drawn(count: int, seed: int = 0) -> Real:
    return np.random.default_rng(seed).random((count, 3))


def kernel(one: Real, other: Real, scales: Scales) -> Real:
    """Written out entry by entry."""
    found = np.empty((len(one), len(other)))
    for row, a in enumerate(one):
        for column, b in enumerate(other):
            harsh_a, harsh_b = abs(a - np.array(GENTLEST)), abs(b - np.array(GENTLEST))
            trend = sum(float(harsh_a[knob] ** power * harsh_b[knob] ** power) for knob in range(3) for power in POWERS) / len(POWERS)
            far = float(np.sqrt(((a - b) ** 2).sum())) / scales.length
            matern = (1 + np.sqrt(5) * far + 5 * far**2 / 3) * np.exp(-np.sqrt(5) * far)
            found[row, column] = 1 + scales.trend**2 * trend + scales.rest**2 * matern
    return found


def expected(x: Real, scales: Scales, prior: Prior) -> Real:
    harsh = np.abs(x - np.array(GENTLEST))
    found: Real = prior.mean * scales.trend * sum((harsh**power).sum(axis=1) for power in POWERS) / len(POWERS)
    return found


@pytest.mark.parametrize("prior", [ANYTHING, LOSS])
def test_it_is_gaussian_conditioning(prior: Prior) -> None:
    """Of the joint distribution of seen and unseen, by its precision matrix instead of Cholesky factors."""
    x, new = drawn(9), drawn(4, seed=1)
    y, noise = damage(x), np.linspace(0.0, 0.5, 9)
    kept = Kept()
    mean, spread = Guess(x, y, noise, GENTLEST, kept, "quality", prior)(new)
    scales = kept.found["quality"][1]
    start, unit = (y.min(), 1.0) if prior is LOSS else (y.mean(), y.std())
    joint = kernel(np.vstack([x, new]), np.vstack([x, new]), scales)
    joint[:9, :9] += np.diag(noise / unit**2 + scales.white**2)
    precision = np.linalg.inv(joint)
    covariance = np.linalg.inv(precision[9:, 9:])
    seen = (y - start) / unit - expected(x, scales, prior)
    there = expected(new, scales, prior) - covariance @ precision[9:, :9] @ seen
    # Inverting a matrix of this condition twice costs some six digits.
    assert mean == pytest.approx(start + unit * there, rel=1e-5, abs=1e-5)
    assert spread == pytest.approx(unit * np.sqrt(np.diag(covariance)), rel=1e-4, abs=1e-4)


def test_hyperparameters_are_the_likeliest_of_the_grid() -> None:
    x = drawn(8)
    y = damage(x)
    kept = Kept()
    Guess(x, y, np.zeros(8), GENTLEST, kept, "quality")
    target = (y - y.mean()) / y.std()
    grid = [Scales(*values) for values in product(*ANYTHING.grids)]
    likely = [multivariate_normal(np.zeros(8), kernel(x, x, each) + each.white**2 * np.eye(8)).logpdf(target) for each in grid]
    assert kept.found["quality"] == (8, grid[int(np.argmax(likely))])


def test_what_single_knobs_do_tells_of_combinations() -> None:
    """Two values of each knob, nothing combined; yet combinations are told better than by their mean, by far."""
    steps = np.array([[1, 0, 0], [0.6, 0, 0], [0.2, 0, 0], [1, 0.5, 0], [1, 1, 0], [1, 0, 0.5], [1, 0, 1]], dtype=np.float64)
    new = drawn(200, seed=3)
    found, spread = Guess(steps, damage(steps), np.zeros(len(steps)), GENTLEST, Kept(), "quality")(new)
    wrong = np.sqrt(np.mean((found - damage(new)) ** 2))
    assert wrong < 0.5 * damage(new).std()
    assert np.all(spread > 0)


def test_what_nobody_tried_is_feared() -> None:
    """Bits were turned, blocks and zeros were not: their harshest values are expected to cost points, of a cost nothing is expected."""
    steps = np.array([[1 - share, 0, 0] for share in np.linspace(0, 0.6, 7)])
    untried = np.array([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    loss, _ = Guess(steps, damage(steps), np.zeros(7), GENTLEST, Kept(), "quality", LOSS)(untried)
    cost, _ = Guess(steps, damage(steps), np.zeros(7), GENTLEST, Kept(), "size", ANYTHING)(untried)
    assert np.all(np.diff(loss) > 0.5)
    assert loss[-1] > 3.0  # two axes, at the least spread of the grid 2 each
    assert np.abs(np.diff(cost)).max() < 0.5


def test_what_was_seen_is_known() -> None:
    x = drawn(20)
    found, spread = Guess(x, damage(x), np.zeros(20), GENTLEST, Kept(), "quality")(x)
    assert np.abs(found - damage(x)).max() < 0.3  # of a range of some 15: a tenth of the spread may be the solver's jumps
    assert spread.max() < 1.0


def test_it_is_fitted_to_numbers_that_follow_from_the_count_alone() -> None:
    assert [fitting_size(count) for count in (3, LEAST, 7, 8, 9, 12, 13, 300)] == [3, 6, 6, 8, 8, 10, 13, 269]
    kept, x = Kept(), drawn(12)
    Guess(x, damage(x), np.zeros(12), GENTLEST, kept, "quality")
    fresh = Kept()
    Guess(x[:11], damage(x[:11]), np.zeros(11), GENTLEST, fresh, "quality")
    assert kept.found["quality"][0] == fresh.found["quality"][0] == 10


def test_equal_values_and_one_point_are_borne() -> None:
    x = np.full((7, 3), 0.5)
    found, spread = Guess(x, np.full(7, 0.1), np.zeros(7), GENTLEST, Kept(), "quality")(drawn(3))
    assert np.isfinite(found).all()
    assert np.isfinite(spread).all()
