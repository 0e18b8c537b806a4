"""What a sampler guesses of points that it has not seen: a Gaussian process made for compression, where damage adds up.

Each axis does its own damage, little at first and more and more of it: powers of a knob's harshness (its distance from the gentlest value
as a share of its range), with a Gaussian prior on their weights, tell what a few trials that vary one knob each say of all combinations.
A Matérn process over the knobs takes what departs from that: interactions, steps. Ten observations of seven knobs cannot tell length
scales apart, so there is one, and the few hyperparameters are the likeliest of a small grid.

Quality has a prior of its own: its loss is 0 where nothing is done, in points of the metric, and what an axis does at its harshest is
expected to cost some of them. So what nobody tried yet is feared, as it should be. Of costs nothing is expected.

Source: Gaussian processes with explicit basis functions (Rasmussen and Williams 2006, section 2.7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

Real = NDArray[np.float64]

POWERS = (1, 2, 6)
LEAST = 6  # observations that hyperparameters are chosen by


@dataclass(frozen=True)
class Scales:
    """Hyperparameters, in units of the prior: spreads of what one axis does at its harshest (`trend`), of what departs from the sum
    (`rest`), with its `length` in ranges of the knobs, and of what no knob explains (`white`): a solver's allocation jumps.
    """

    trend: float
    rest: float
    length: float
    white: float


@dataclass(frozen=True)
class Prior:
    """What is expected before anything is seen. `grids`: values of each hyperparameter, in the order of `Scales`.

    `mean`: of what one axis does at its harshest, in its spreads. `absolute`: in points above the least that was seen; else in spreads of
    what was seen, around its mean.
    """

    grids: tuple[tuple[float, ...], ...]
    mean: float = 0.0
    absolute: bool = False

    def frame(self, y: Real) -> tuple[float, float]:
        """Where the process begins to count, and its unit."""
        return (float(y.min()), 1.0) if self.absolute else (float(y.mean()), float(y.std()) or 1.0)


ANYTHING = Prior(((0.5, 1.0, 2.0, 4.0), (0.03, 0.06, 0.12, 0.25, 0.5), (0.4, 0.8, 1.6), (0.01, 0.03, 0.08)))
LOSS = Prior(((2.0, 4.0, 8.0, 16.0), (0.1, 0.3, 0.6, 1.2), (0.8, 1.6), (0.1, 0.2, 0.3)), mean=1.0, absolute=True)


@dataclass
class Kept:
    """Scales by what is guessed, with how many of the first observations they were chosen by: see `Guess`."""

    found: dict[str, tuple[int, Scales]] = field(default_factory=dict)


class Guess:
    """A process over knobs for one quantity.

    `x`: places seen [points, knobs] in [0, 1]; `y`: what was seen there [points]; `noise`: its variance, of each; `gentlest`: place [knobs]
    where an axis does nothing.
    """

    def __init__(self, x: Real, y: Real, noise: Real, gentlest: Sequence[float], kept: Kept, name: str, prior: Prior = ANYTHING) -> None:
        """`kept`: scales by name; chosen anew when there are a quarter more observations. To how many follows from their number alone, so
        that a study that was resumed guesses as one that ran through.
        """
        self._x, self._gentlest, self._prior = x, np.array(gentlest, dtype=np.float64), prior
        self._start, self._unit = prior.frame(y)
        target, variance = (y - self._start) / self._unit, noise / self._unit**2
        count = fitting_size(len(x))
        found = kept.found.get(name)
        if found is None or found[0] != count:
            found = kept.found[name] = (count, self._likeliest(target[:count], variance[:count]))
        self._scales = found[1]
        covariance = self._covariance(x, x)
        self._factor = cho_factor(covariance + np.diag(variance + self._scales.white**2), lower=True)
        self._weights: Real = cho_solve(self._factor, target - self._expected(x, self._scales.trend))

    def __call__(self, x: Real) -> tuple[Real, Real]:
        """Mean and standard deviation [points] of the quantity itself, without the noise of measuring it."""
        across, scales = self._covariance(x, self._x), self._scales
        mean = self._expected(x, scales.trend) + across @ self._weights
        half = solve_triangular(self._factor[0], across.T, lower=True)
        before = 1.0 + scales.trend**2 * (self._features(x) ** 2).sum(axis=1) + scales.rest**2
        return self._start + self._unit * mean, self._unit * np.sqrt(np.maximum(before - (half**2).sum(axis=0), 1e-12))

    def _likeliest(self, y: Real, noise: Real) -> Scales:
        """Of the prior's grid, by the marginal likelihood."""
        trends, rests, lengths, whites = self._prior.grids
        x, best, scales = self._x[: len(y)], -np.inf, Scales(trends[0], rests[0], lengths[0], whites[0])
        for length in lengths:
            trend, rest = self._parts(x, x, length)
            for over, beside, white in product(trends, rests, whites):
                covariance = 1.0 + over**2 * trend + beside**2 * rest + np.diag(noise + white**2)
                factor, left = cho_factor(covariance, lower=True, check_finite=False), y - self._expected(x, over)
                found = -0.5 * float(left @ cho_solve(factor, left, check_finite=False)) - float(np.log(np.diag(factor[0])).sum())
                if found > best:
                    best, scales = found, Scales(over, beside, length, white)
        return scales

    def _expected(self, x: Real, trend: float) -> Real:
        """The prior's mean [points]."""
        found: Real = self._prior.mean * trend * self._features(x).sum(axis=1) / np.sqrt(len(POWERS))
        return found

    def _covariance(self, one: Real, other: Real) -> Real:
        trend, rest = self._parts(one, other, self._scales.length)
        return 1.0 + self._scales.trend**2 * trend + self._scales.rest**2 * rest

    def _parts(self, one: Real, other: Real, length: float) -> tuple[Real, Real]:
        """Of the trend and of what departs from it, each at scale 1: [points of one, points of the other]."""
        distance = np.sqrt(5.0) * cdist(one, other) / length
        trend: Real = self._features(one) @ self._features(other).T
        return trend, (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)

    def _features(self, x: Real) -> Real:
        """Powers of harshness [points, knobs times powers], the prior's spread shared among the powers of a knob."""
        harshness = np.abs(x - self._gentlest)
        found: Real = np.hstack([harshness**power for power in POWERS]) / np.sqrt(len(POWERS))
        return found


def fitting_size(count: int) -> int:
    """The largest of 6, 8, 10, 13, 17, … that is at most `count`: each a quarter more than the one before."""
    size = min(LEAST, count)
    while (larger := -(-5 * size // 4)) <= count:
        size = larger
    return size
