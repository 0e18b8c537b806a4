"""Finds a configuration that no trial has had: asks the sampler, then looks around what it said, then draws, then gives up.

Many knob values resolve to one configuration (the solver takes few of the widths an average allows), so it is digests that are compared.
What repeats is told to the sampler first; after `ASKS` repetitions in a row it is taken at its word: the nearest points that are new lie
around its last answer, and are more worth than a draw from everywhere.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from itertools import product
from math import prod
from typing import Protocol

import numpy as np

from paredown.search.proposer import Observation
from paredown.search.trial import Candidate
from paredown.space.axes.base import SearchSpace
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob

ASKS = 4  # questions to the sampler; a Gaussian process takes seconds for each
NEAR = 24  # points around its last answer, ever farther off
DRAWS = 64  # random points of a space too large to go through
WHOLE = 4096  # spaces of at most so many points are gone through, every point once
SWEEP = 512  # points of a space with a knob without steps that are gone through, evenly spread
_FARTHEST = 0.5  # of a knob's range

Digests = MutableMapping[tuple[float, ...], str]  # by the values of all knobs, in their order


class Asks(Protocol):
    """What proposes knob values for one trial (`Proposer` by a sampler of Optuna's). Equal history and seed must give equal answers."""

    def ask(self) -> Mapping[str, float]:
        """Knob values to try next."""
        ...

    def tell_known(self, known: Observation | None) -> None:
        """What was asked for last has this known configuration, whose figures are there or are not."""


def find_unseen(
    space: SearchSpace,
    proposer: Asks,
    seen: Mapping[str, Observation | None],
    rng: np.random.Generator,
    digests: Digests | None = None,
) -> Candidate | None:
    """A candidate whose configuration's digest is not in `seen`.

    `seen`: what is known of each digest, None where it has no figures: rejected, or being evaluated now. `digests`: what knob values
    resolved to before; kept by the caller from trial to trial it spares resolving them again where little is left.
    Returns None when the space is exhausted: proved for at most 4,096 points, else after a sweep or draws that are all known.
    """
    resolver = _Resolver(space, seen, {} if digests is None else digests)
    last: dict[str, float] = {}
    for _ in range(ASKS):
        last = dict(proposer.ask())
        candidate = resolver.unseen(last, "search")
        if candidate is not None:
            return candidate
        proposer.tell_known(seen[resolver.digest(last)])
    for values in _around(space.knobs, last, rng):
        candidate = resolver.unseen(values, "search")
        if candidate is not None:
            return candidate
    for values in _draw(space.knobs, rng):
        candidate = resolver.unseen(values, "random")
        if candidate is not None:
            return candidate
    return None


class _Resolver:
    """Resolves knob values, each once."""

    def __init__(self, space: SearchSpace, seen: Mapping[str, Observation | None], digests: Digests) -> None:
        self._space, self._seen, self._digests = space, seen, digests

    def unseen(self, values: Mapping[str, float], label: str) -> Candidate | None:
        """The candidate of these knob values, None if its configuration is known."""
        sound = self._space.checked(values)
        key = tuple(sound.values())
        if self._digests.get(key) in self._seen:
            return None
        candidate = Candidate(label, self._space.resolve(sound), tuple(sound.items()))
        self._digests[key] = candidate.digest
        return None if candidate.digest in self._seen else candidate

    def digest(self, values: Mapping[str, float]) -> str:
        """That of values that were asked for before."""
        return self._digests[tuple(self._space.checked(values).values())]


def _around(knobs: Sequence[Knob], center: Mapping[str, float], rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Knob values around these, ever farther off: of each knob with a chance of a half, of one at least."""
    free = [knob for knob in knobs if knob.low < knob.high]
    for turn in range(NEAR if free else 0):
        share = _FARTHEST * (turn + 1) / NEAR
        moved = [knob for knob in free if rng.random() < 0.5] or [free[int(rng.integers(len(free)))]]
        yield {**center, **{knob.name: _moved(knob, center[knob.name], share, rng) for knob in moved}}


def _moved(knob: Knob, value: float, share: float, rng: np.random.Generator) -> float:
    """Another value of a knob, at most this share of its range away, where it has steps one step at least."""
    grid = _grid(knob)
    if grid is None:
        reach = share * (knob.high - knob.low)
        return float(min(max(value + rng.uniform(-reach, reach), knob.low), knob.high))
    place = min(range(len(grid)), key=lambda index: abs(grid[index] - value))
    reach = max(1, round(share * (len(grid) - 1)))
    near = [index for index in range(max(0, place - reach), min(len(grid), place + reach + 1)) if index != place]
    return grid[near[int(rng.integers(len(near)))]] if near else value


def _draw(knobs: Sequence[Knob], rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Knob values in random order: the whole grid once where it is small, a bounded number of uniform draws otherwise.

    A knob without steps takes, where the others leave room for it, as many evenly spread values as make up the sweep.
    """
    names, grids = [knob.name for knob in knobs], [_grid(knob) for knob in knobs]
    points = prod(len(grid) for grid in grids if grid is not None)
    open_knobs = sum(grid is None for grid in grids)
    many = int((SWEEP / points) ** (1 / open_knobs)) if open_knobs else 0
    if (not open_knobs and points <= WHOLE) or many >= 3:
        whole = [np.linspace(knob.low, knob.high, many).tolist() if grid is None else grid for knob, grid in zip(knobs, grids, strict=True)]
        every = list(product(*whole))
        for index in rng.permutation(len(every)).tolist():
            yield dict(zip(names, every[index], strict=True))
        return
    for _ in range(DRAWS):
        yield {
            knob.name: float(rng.choice(grid)) if grid is not None else float(rng.uniform(knob.low, knob.high))
            for knob, grid in zip(knobs, grids, strict=True)
        }


def _grid(knob: Knob) -> list[float] | None:
    """Every value of a knob, None where it is continuous."""
    if isinstance(knob, ChoiceKnob):
        return [float(choice) for choice in knob.choices]
    if not isinstance(knob, FloatKnob):
        return [float(value) for value in range(knob.low, knob.high + 1)]
    if knob.low == knob.high:
        return [knob.low]
    if knob.step is None:
        return None
    return [
        knob.checked(min(knob.low + index * knob.step, knob.high)) for index in range(int((knob.high - knob.low) / knob.step + 1e-9) + 1)
    ]
