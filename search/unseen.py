"""Finds a configuration that no trial has had: asks the sampler, then draws, then gives up."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from paredown.search.proposer import Observation, Proposer
from paredown.search.trial import Candidate
from paredown.space.axes.base import SearchSpace
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob

ASKS = 8  # questions to the sampler; a GP takes a second for each
DRAWS = 64  # random points of a space too large to go through
WHOLE = 512  # spaces of at most so many points are gone through, every point once


def find_unseen(
    space: SearchSpace, proposer: Proposer, seen: Mapping[str, Observation | None], rng: np.random.Generator
) -> Candidate | None:
    """A candidate whose configuration's digest is not in `seen`.

    `seen`: what is known of each digest, None for a rejected configuration; the sampler is told when it comes upon one.
    Returns None when the space is exhausted: proved for at most 512 points, else after 64 draws in a row that are all known.
    """
    for _ in range(ASKS):
        candidate = _resolve(space, proposer.ask(), "search")
        digest = candidate.digest
        if digest not in seen:
            return candidate
        proposer.tell_known(seen[digest])
    for values in _draw(space.knobs, rng):
        candidate = _resolve(space, values, "random")
        if candidate.digest not in seen:
            return candidate
    return None


def _resolve(space: SearchSpace, values: Mapping[str, float], label: str) -> Candidate:
    sound = space.checked(values)
    return Candidate(label, space.resolve(sound), tuple(sound.items()))


def _draw(knobs: Sequence[Knob], rng: np.random.Generator) -> Iterator[dict[str, float]]:
    """Knob values in random order: the whole grid once where it is small, a bounded number of uniform draws otherwise."""
    names = [knob.name for knob in knobs]
    grids = [_grid(knob) for knob in knobs]
    sizes = [len(grid) if grid is not None else WHOLE + 1 for grid in grids]
    if np.prod(np.array(sizes, dtype=np.float64)) <= WHOLE:
        points = list(product(*(grid for grid in grids if grid is not None)))
        for index in rng.permutation(len(points)).tolist():
            yield dict(zip(names, points[index], strict=True))
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
