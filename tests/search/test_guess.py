"""Guesses: Gaussian conditioning by another way, damage that adds up, and hyperparameters that are the likeliest."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from paredown.search import guess as module
from paredown.search.guess import LEAST, POWERS, Guess, Kept, Scales, fitting_size

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


def test_it_is_gaussian_conditioning() -> None:
    """Of the joint distribution of seen and unseen, by its precision matrix instead of Cholesky factors."""
    x, new = drawn(9), drawn(4, seed=1)
    y, noise = damage(x), np.linspace(0.0, 0.5, 9)
    kept = Kept()
    mean, spread = Guess(x, y, noise, GENTLEST, kept, "quality")(new)
    scales, unit = kept.found["quality"][1], y.std()
    joint = kernel(np.vstack([x, new]), np.vstack([x, new]), scales)
    joint[:9, :9] += np.diag(noise / unit**2 + scales.white**2)
    precision = np.linalg.inv(joint)
    covariance = np.linalg.inv(precision[9:, 9:])
    expected = -covariance @ precision[9:, :9] @ ((y - y.mean()) / unit)
    # Inverting a matrix of this condition twice costs some six digits.
    assert mean == pytest.approx(y.mean() + unit * expected, rel=1e-5, abs=1e-5)
    assert spread == pytest.approx(unit * np.sqrt(np.diag(covariance)), rel=1e-4, abs=1e-4)


def test_hyperparameters_are_the_likeliest_of_the_grid() -> None:
    x = drawn(8)
    y = damage(x)
    kept = Kept()
    Guess(x, y, np.zeros(8), GENTLEST, kept, "quality")
    target = (y - y.mean()) / y.std()
    grid = [
        Scales(trend, rest, length, white)
        for trend in module._TREND
        for rest in module._REST
        for length in module._LENGTH
        for white in module._WHITE
    ]
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
