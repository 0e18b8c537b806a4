"""Local refinement: candidates one step away from the front, in the resolved space.

Two kinds of step from each point of the front: one thing of its configuration (`space.neighbours`), everything else as it was; and one
knob, after which the solvers inside the axes answer anew. The front's points take turns, and within a point the kinds of step do, the most
promising of each kind first (the layer that loses least for the bytes it saves).
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from paredown.search.recovery import plain
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import SearchSpace
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob
from paredown.space.neighbours import Neighbour, neighbours

LABEL = "refined"
_PARTS = 24  # a step of a knob without steps is this part of its range


def refine(space: SearchSpace, front: Sequence[Trial], known: Collection[str], rng: np.random.Generator) -> Iterator[Candidate]:
    """Candidates around the front, each configuration once and none whose digest is in `known`; equal arguments give equal ones.

    Made as they are taken, so few are cheap. Where a trial of the front was recovered, its neighbours are those of what was
    trained. `known` is read as they are taken, too: what is added to it in between is left out.
    """
    given: set[str] = set()
    order = [front[place] for place in rng.permutation(len(front)).tolist()]
    for candidate in _in_turn([_around(space, trial, rng) for trial in order]):
        if candidate.digest not in known and candidate.digest not in given:
            given.add(candidate.digest)
            yield candidate


def _around(space: SearchSpace, trial: Trial, rng: np.random.Generator) -> Iterator[Candidate]:
    """All steps from one trial: by turns one of each kind, kinds in random order."""
    configuration = plain(trial.configuration) if trial.configuration.is_recovered else trial.configuration
    knobs = _knobs_of(space, trial)
    kinds: dict[str, list[Neighbour]] = {}
    for neighbour in neighbours(space, configuration):
        kinds.setdefault(neighbour.kind, []).append(neighbour)
    turns: list[Iterator[Candidate]] = []
    for found in kinds.values():
        shuffled = [found[place] for place in rng.permutation(len(found)).tolist()]  # so that of equal promise none is preferred
        ranked = sorted(shuffled, key=lambda neighbour: -neighbour.promise)
        turns.append(_stepped(space, ranked, knobs))
    if knobs is not None:
        turns.append(_by_knobs(space, knobs, rng))
    yield from _in_turn([turns[place] for place in rng.permutation(len(turns)).tolist()])


def _stepped(space: SearchSpace, ranked: Sequence[Neighbour], knobs: dict[str, float] | None) -> Iterator[Candidate]:
    """Neighbours as candidates; where their trial has knob values, with these, moved by the step where a knob says it."""
    for neighbour in ranked:
        near = None
        if knobs is not None:
            moved = {**knobs, **({} if neighbour.knob is None else dict([neighbour.knob]))}
            near = tuple(space.checked(moved).items())
        yield Candidate(f"{LABEL}: {neighbour.kind}", neighbour.configuration, near)


def _by_knobs(space: SearchSpace, knobs: dict[str, float], rng: np.random.Generator) -> Iterator[Candidate]:
    """One knob moved by one step, resolved."""
    moves = [(knob, value) for knob in space.knobs for value in _beside(knob, knobs[knob.name])]
    for place in rng.permutation(len(moves)).tolist():
        knob, value = moves[place]
        sound = space.checked({**knobs, knob.name: value})
        yield Candidate(f"{LABEL}: {knob.name}", space.resolve(sound), tuple(sound.items()))


def _beside(knob: Knob, value: float) -> tuple[float, ...]:
    """The next lower and the next higher value of a knob, as far as there are any."""
    if isinstance(knob, ChoiceKnob):
        place = knob.choices.index(knob.checked(value))
        return tuple(float(one) for one in (*knob.choices[max(0, place - 1) : place], *knob.choices[place + 1 : place + 2]))
    step = 1.0 if not isinstance(knob, FloatKnob) else knob.step or (knob.high - knob.low) / _PARTS
    near = (min(max(value - step, knob.low), knob.high), min(max(value + step, knob.low), knob.high))
    return tuple(one for one in dict.fromkeys(near) if abs(one - value) > 1e-9)


def _knobs_of(space: SearchSpace, trial: Trial) -> dict[str, float] | None:
    """A trial's knob values, None where it has none of this space."""
    if trial.candidate.knobs is None:
        return None
    try:
        return dict(space.checked(dict(trial.candidate.knobs)))
    except ValueError:
        return None


def _in_turn(streams: Sequence[Iterator[Candidate]]) -> Iterator[Candidate]:
    """The first of each, the second of each, … until all are spent."""
    waiting = list(streams)
    while waiting:
        left = []
        for stream in waiting:
            candidate = next(stream, None)
            if candidate is not None:
                yield candidate
                left.append(stream)
        waiting = left
