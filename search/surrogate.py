"""The sampler "model": what is known of a candidate is known, only the rest is guessed.

A plain multi-objective sampler guesses every objective from the knobs. But the bytes of a configuration are exact before it is built, and
its latency may be predicted; what an evaluation buys is knowledge of quality. So a Gaussian process guesses quality (and the costs that
nobody foretold), and the next candidate is the one whose expected gain in hypervolume is largest, at its own known costs.

Source: expected hypervolume improvement (Emmerich, Giannakoglou and Naujoks 2006), here with most objectives known, so that the
expectation over the guessed ones is a sum over a few quantiles; candidates come from a pool of scrambled Sobol points, of points at the
ends of ranges, and of points around the front, as in local search by Bayesian optimization.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from paredown.search.front import non_dominated
from paredown.search.guess import ANYTHING, LEAST, LOSS, Guess, Kept
from paredown.search.hypervolume import hypervolume
from paredown.search.objective import Objective
from paredown.space.knobs import IntKnob, Knob

Real = NDArray[np.float64]
Foretell = Callable[[Mapping[str, float]], Mapping[str, float]]  # knob values -> costs that are known before an evaluation, by objective

STARTUP = LEAST  # observations before the first guess: fewer cannot tell seven knobs apart
POOL = 1024  # Sobol points, and half as many at the ends of ranges and around the front
SHORT_LIST = 6  # candidates whose costs are foretold, which takes some 0.05 s each; the best of them is asked for first
_QUANTILES = (0.3, 0.5, 0.7)  # not the far ones: a search of minutes has no trials for gambling
_MOST_OBSERVATIONS = 300  # a Gaussian process takes the cube of their number
_STRETCH = 2.0  # half of the shares that are drawn lie beyond an end of their range
_STEP = 0.12  # spread of the points around the front, in ranges of the knobs


@dataclass(frozen=True)
class Seen:
    """What was measured at a point: `x` [knobs] in [0, 1], `values` [objectives] lower is better, costs in logarithm.

    `noise`: variance of the quality that comes from its having been judged on a part of the utterances only.
    """

    x: tuple[float, ...]
    values: tuple[float, ...]
    violation: float = 0.0
    noise: float = 0.0


class Surrogate:
    """Proposes points for one trial by what was seen so far (see `paredown.search.unseen.Asks`)."""

    def __init__(
        self,
        knobs: Sequence[Knob],
        objectives: Sequence[Objective],
        seen: Sequence[Seen],
        reference: Sequence[float] | None,
        foretell: Foretell,
        waiting: Sequence[tuple[float, ...]],
        seed: int,
        kept: Kept,
        gentlest: Sequence[float],
    ) -> None:
        """`reference`: the corner that hypervolume is counted from [objectives], in the terms of `Seen.values`; None while it is unknown.

        `foretell` gives the costs of knob values that are known without an evaluation, as logarithms by objective. `waiting`: points that
        are being evaluated now. `kept`: hyperparameters, from trial to trial. `gentlest`: where the axes do nothing to a model, a place.
        """
        self._knobs, self._names = tuple(knobs), [objective.name for objective in objectives]
        self._seen, self._waiting = _informative(seen), np.array(waiting, dtype=np.float64).reshape(len(waiting), len(knobs))
        self._reference = None if reference is None else np.array(reference, dtype=np.float64)
        self._foretell, self._kept, self._gentlest = foretell, kept, tuple(gentlest)
        self._rng = np.random.default_rng(seed)
        self._ranked = self._rank()

    def ask(self) -> dict[str, float]:
        """The most promising point that was not asked for yet."""
        return next(self._ranked)

    def tell_known(self, known: object) -> None:
        """The configuration of the last point is known: the next one is less promising, but new."""

    def _rank(self) -> Iterator[dict[str, float]]:
        if self._reference is not None and len(self._seen) >= STARTUP:
            yield from map(self._values, self._promising(self._reference))
        while True:
            yield from map(self._values, self._sobol(SHORT_LIST))

    def _promising(self, reference: Real) -> Real:
        """Points of the pool, the largest expected gain first."""
        x = np.array([each.x for each in self._seen])
        y = np.array([each.values for each in self._seen])
        noise = np.array([each.noise for each in self._seen])
        feasible = np.array([each.violation <= 0 for each in self._seen])
        exact = np.zeros(len(x))
        guesses = [
            Guess(x, y[:, place], exact if place else noise, self._gentlest, self._kept, name, ANYTHING if place else LOSS)
            for place, name in enumerate(self._names)
        ]
        front = y[feasible]
        if len(self._waiting):  # taken for what they are expected to be, so that nobody asks for their like
            front = np.vstack([front, np.stack([guess(self._waiting)[0] for guess in guesses], axis=1)])
        front = _front(front, reference)
        allowed = self._chance(x)
        pool = np.unique(np.concatenate([self._sobol(POOL), self._edges(), self._around(x, y, feasible)]).round(9), axis=0)
        means, spreads = zip(*(guess(pool) for guess in guesses), strict=True)
        mean, spread = np.stack(means, axis=1), np.stack(spreads, axis=1)
        order = _ranking(_gains(front, reference, mean, spread) * allowed(pool), mean, reference)
        first, rest = order[:SHORT_LIST], order[SHORT_LIST : 8 * SHORT_LIST]
        known = self._exactly(pool[first], mean[first], spread[first])
        gains = _gains(front, reference, *known) * allowed(pool[first])
        return np.concatenate([pool[first][_ranking(gains, known[0], reference)], pool[rest]])

    def _exactly(self, pool: Real, mean: Real, spread: Real) -> tuple[Real, Real]:
        """Means and spreads with the costs that are known."""
        mean, spread = mean.copy(), spread.copy()
        for row, point in enumerate(pool):
            for name, cost in self._foretell(self._values(point)).items():
                if name in self._names:
                    mean[row, self._names.index(name)], spread[row, self._names.index(name)] = cost, 0.0
        return mean, spread

    def _chance(self, x: Real) -> Callable[[Real], Real]:
        """The chance that a point keeps the budgets that only an evaluation can tell."""
        missed = np.array([each.violation for each in self._seen])
        if not (missed > 0).any() or np.ptp(missed) == 0:
            return lambda pool: np.ones(len(pool))
        guess = Guess(x, missed, np.zeros(len(x)), self._gentlest, self._kept, "budgets")

        def chance(pool: Real) -> Real:
            mean, spread = guess(pool)
            found: Real = norm.cdf(-mean / np.maximum(spread, 1e-9))
            return found

        return chance

    def _sobol(self, count: int) -> Real:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balanced only at powers of two
            drawn: Real = qmc.Sobol(len(self._knobs), rng=self._rng).random(count)
        return self._on_grid(drawn)

    def _edges(self) -> Real:
        """Points many of whose knobs stand at an end of their range, those of one axis together: fronts end there."""
        axes = [knob.name.partition(".")[0] for knob in self._knobs]
        drawn = self._rng.random((POOL // 2, len(set(axes))))
        stretched = np.clip(0.5 + _STRETCH * (drawn - 0.5), 0.0, 1.0)
        return self._on_grid(stretched[:, [sorted(set(axes)).index(axis) for axis in axes]])

    def _around(self, x: Real, y: Real, feasible: NDArray[np.bool_]) -> Real:
        """Points near those of the front, a few knobs moved at a time."""
        best = x[feasible][non_dominated(y[feasible])] if feasible.any() else x
        centers = best[self._rng.integers(len(best), size=POOL // 2)]
        moved = self._rng.random(centers.shape) < np.maximum(0.3, 1.0 / centers.shape[1])
        return self._on_grid(np.clip(centers + moved * self._rng.normal(0.0, _STEP, centers.shape), 0.0, 1.0))

    def _on_grid(self, x: Real) -> Real:
        """The points that these shares of ranges stand for: a gain is that of a point that can be asked for."""
        return np.array([place_of(self._knobs, self._values(point)) for point in x])

    def _values(self, x: Real) -> dict[str, float]:
        return {knob.name: _at(knob, float(share)) for knob, share in zip(self._knobs, x, strict=True)}


def _gains(front: Real, reference: Real, mean: Real, spread: Real) -> Real:
    """Expected gain in hypervolume of every point [points]; quality is uncertain, the rest taken at its mean."""
    base = hypervolume(front, reference) if len(front) else 0.0
    found = np.zeros(len(mean))
    for quantile in _QUANTILES:
        points = mean.copy()
        points[:, 0] += norm.ppf(quantile) * spread[:, 0]
        for row in np.flatnonzero((points < reference).all(axis=1)):
            if not (front <= points[row]).all(axis=1).any():
                found[row] += hypervolume(np.vstack([front, points[row]]), reference) - base
    gains: Real = found / len(_QUANTILES)
    return gains


def _ranking(gains: Real, mean: Real, reference: Real) -> NDArray[np.intp]:
    """Places, the largest gain first; where none gains anything, the one whose costs are least beyond the corner."""
    beyond = np.maximum(mean[:, 1:] - reference[1:], 0.0).sum(axis=1)
    return np.lexsort((beyond, -gains))


def place_of(knobs: Sequence[Knob], values: Mapping[str, float]) -> tuple[float, ...]:
    """Knob values as shares of their ranges [knobs], 0.5 where a knob has one value only."""
    return tuple((values[knob.name] - knob.low) / (knob.high - knob.low) if knob.high > knob.low else 0.5 for knob in knobs)


def _at(knob: Knob, share: float) -> float:
    """The knob's value at this share of its range."""
    value = min(max(knob.low + share * (knob.high - knob.low), knob.low), knob.high)
    return float(knob.checked(round(value) if isinstance(knob, IntKnob) else value))


def _informative(seen: Sequence[Seen]) -> tuple[Seen, ...]:
    """All of them, or of very many the front and the latest."""
    if len(seen) <= _MOST_OBSERVATIONS:
        return tuple(seen)
    y = np.array([each.values for each in seen])
    front = [each for each, on in zip(seen, non_dominated(y), strict=True) if on][-_MOST_OBSERVATIONS // 2 :]
    rest = [each for each in seen if each not in front]
    return (*front, *rest[len(front) - _MOST_OBSERVATIONS :])


def _front(y: Real, reference: Real) -> Real:
    """The non-dominated points that lie within the reference's corner."""
    inside = y[(y < reference).all(axis=1)]
    return inside[non_dominated(inside)] if len(inside) else inside
