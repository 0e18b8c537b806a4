"""Where a study begins, beside the uncompressed model: points that who knows the field would try, and the trials of another study.

Both are candidates like any other. `solver_optimal` lays a coarse grid over the knobs, from what changes least to what saves most, and lets
the solvers inside the axes answer: of one average the allocation is exact, so the only question left is which averages, depths, hops
and beams go together. `from_study` takes what another study of the same model learnt: the points of its front first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from paredown.errors import BadInput
from paredown.search.front import non_dominated
from paredown.search.objective import Objective, losses, read_values
from paredown.search.study import read_identity, read_trials
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.configuration import Configuration
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob

POOL = 160  # candidates of the grid at most
OTHERS = 100  # candidates of another study at most
_AVERAGES = (6.0, 5.0, 4.5, 4.0, 3.5, 3.0)  # above them codes lose next to nothing, below them next to everything
_RUNGS = 4  # values of a knob, the gentlest among them
_WHOLE, _HALF = 8, 24  # so many choices of the other knobs get every average, up to so many every second, those behind them one
# How much a knob's harshest value is taken to cost: a narrow beam costs the least, blocks the most. Orders the grid, no more.
_COSTS = {"decode.beam_size": 0.4, "input.hop_samples": 0.7, "layers": 1.0, "sparsity": 1.2}
_USUAL_COST = 1.0


def gentlest(space: SearchSpace) -> dict[str, float]:
    """The knob values that change the model least but for its bits: every block, no zeros, its own input, decoding nearest to its own."""
    found = {}
    for knob in space.knobs:
        axis, _, name = knob.name.partition(".")
        if axis == "decode":
            found[knob.name] = float(min(max(getattr(space.base.decode, name), knob.low), knob.high))
        else:
            found[knob.name] = float(knob.high if axis in ("layers", "bits") else knob.low)
    return found


def solver_optimal(space: SearchSpace, limit: int = POOL) -> tuple[Candidate, ...]:
    """At most `limit` different candidates with knob values, the gentlest first.

    Of the grid over all knobs those come first that turn few of them little, each at several averages; all shares of sparsity are turned
    together. What needs a solver is resolved once for all hops and beams: they change nothing of it.
    """
    start, harsh = gentlest(space), space.lowest()
    ladders = {knob.name: _ladder(knob, start[knob.name], float(harsh[knob.name])) for knob in space.knobs}
    averages: Sequence[float] = ladders.pop("bits.average", ())
    resolver = _Resolver(space)
    found: dict[str, Candidate] = {}
    for place, chosen in enumerate(_by_cost(ladders)):
        for bits in [{"bits.average": average} for average in _thinned(averages, place)] or [{}]:
            if len(found) == limit:
                return tuple(found.values())
            sound = space.checked({**start, **chosen, **bits})
            candidate = Candidate("solver-optimal", resolver.resolve(sound), tuple(sound.items()))
            found.setdefault(candidate.digest, candidate)
    return tuple(found.values())


def _thinned(averages: Sequence[float], place: int) -> Sequence[float]:
    """Fewer averages for later choices, by turns all of them."""
    if place < _WHOLE or not averages:
        return averages
    return averages[place % 2 :: 2] if place < _HALF else (averages[place % len(averages)],)


def _ladder(knob: Knob, gentle: float, harsh: float) -> tuple[float, ...]:
    """A few values of a knob from the gentlest to the harshest."""
    if knob.name == "bits.average":
        inside = [average for average in _AVERAGES if knob.low <= average <= knob.high]
        return tuple(dict.fromkeys([*inside, knob.low])) if inside else tuple(np.linspace(knob.high, knob.low, _RUNGS).tolist())
    if knob.name == "decode.length_bonus" or gentle == harsh:
        return (gentle,)  # a smaller bonus saves nothing
    if isinstance(knob, ChoiceKnob):
        between = [float(one) for one in knob.choices if min(gentle, harsh) <= one <= max(gentle, harsh)]
        ordered = between if gentle < harsh else between[::-1]
        places = np.linspace(0, len(ordered) - 1, min(_RUNGS, len(ordered))).round().astype(int)
        return tuple(ordered[place] for place in places.tolist())
    if isinstance(knob, FloatKnob):
        # Zeros save bytes where their share is above one over the bits (a mask costs one), so the largest share alone is tried.
        shares = (gentle, harsh) if knob.step is not None else (gentle, (gentle + harsh) / 2, harsh)
        return tuple(float(knob.checked(share)) for share in shares)
    spaced = np.geomspace(gentle, harsh, _RUNGS) if knob.name == "decode.beam_size" else np.linspace(gentle, harsh, _RUNGS)
    return tuple(dict.fromkeys(float(round(value)) for value in spaced.tolist()))


def _by_cost(ladders: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Values of every knob, all choices of them, the cheapest first; knobs of sparsity stand on one rung."""
    groups: dict[str, list[str]] = {}
    for name in ladders:
        groups.setdefault("sparsity" if name.startswith("sparsity.") else name, []).append(name)
    lengths = [max(len(ladders[name]) for name in names) for names in groups.values()]
    costs = [[_cost(group, rung / max(1, length - 1)) for rung in range(length)] for group, length in zip(groups, lengths, strict=True)]
    every = product(*map(range, lengths))
    ranked = sorted((sum(cost[rung] for cost, rung in zip(costs, rungs, strict=True)), rungs) for rungs in every)
    return [
        {
            name: ladders[name][min(rung, len(ladders[name]) - 1)]
            for names, rung in zip(groups.values(), rungs, strict=True)
            for name in names
        }
        for _, rungs in ranked
    ]


def _cost(name: str, share: float) -> float:
    """Of a knob turned by this share of its way; turning it further costs more than in proportion."""
    most = _COSTS.get(name, _COSTS.get(name.partition(".")[0], _USUAL_COST))
    return most * float(share**1.5)


class _Resolver:
    """Resolves knob values; of those that differ in hop, rate and decoding alone the rest once."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._light: tuple[Axis, ...] = tuple(axis for axis in space.axes if isinstance(axis, DecodeAxis | InputAxis))
        self._light_names = {knob.name for axis in self._light for knob in axis.knobs}
        self._known: dict[tuple[float, ...], Configuration] = {}

    def resolve(self, values: Mapping[str, float | int]) -> Configuration:
        key = tuple(value for name, value in values.items() if name not in self._light_names)
        if key not in self._known:
            self._known[key] = self._space.resolve(values)
        configuration = self._known[key]
        for axis in self._light:
            configuration = axis.resolve({knob.name: values[knob.name] for knob in axis.knobs}, configuration)
        return configuration


@dataclass(frozen=True)
class WarmStart:
    """`candidates`: the best first. `left_out`: complete trials of the other study that this space cannot have, or that have no knobs."""

    candidates: tuple[Candidate, ...]
    left_out: int


def from_study(folder: Path, space: SearchSpace, model_digest: str, limit: int = OTHERS) -> WarmStart:
    """The complete trials of another study as candidates of this space: its front first, then front after front, at most `limit`.

    Their knob values are resolved anew, here, with what this study knows of the model. A knob that the other study did not have takes its
    gentlest value; one that this space does not have, or another value than it has, leaves a trial out.
    Raises BadInput where there is no study, or it is of another model (naming both digests).
    """
    identity = read_identity(folder)
    if identity.get("model") != model_digest:
        other = str(identity.get("model"))[:12]
        raise BadInput(
            f"a study starts from one of the same model: that of {folder} has the digest {other}, this one's is {model_digest[:12]}"
        )
    complete = [trial for trial in read_trials(folder) if trial.outcome is not None]
    renamed = _renumbered(space, identity)
    found: dict[str, Candidate] = {}
    left_out = 0
    for trial in _best_first(complete, identity):
        values = _values_here(space, trial, renamed)
        if values is None:
            left_out += 1
        elif len(found) < limit:
            candidate = Candidate(f"trial {trial.number} of {folder.name}", space.resolve(values), tuple(values.items()))
            found.setdefault(candidate.digest, candidate)
    return WarmStart(tuple(found.values()), left_out)


def _values_here(space: SearchSpace, trial: Trial, renamed: frozenset[str]) -> dict[str, float | int] | None:
    """Knob values of this space, None where the trial's are not among them."""
    if trial.candidate.knobs is None:
        return None
    values = dict(trial.candidate.knobs)
    knobs = {knob.name: knob for knob in space.knobs}
    for name, value in values.items():
        knob = knobs.get(name)
        if knob is None or name in renamed or (isinstance(knob, ChoiceKnob) and value not in knob.choices):
            return None
    try:
        return space.checked({**gentlest(space), **values})
    except ValueError:
        return None


def _renumbered(space: SearchSpace, identity: Mapping[str, object]) -> frozenset[str]:
    """Knobs whose value is a place in a list (sample rates) that the other study has otherwise."""
    described = space.describe()
    numbered = [knob.name for knob in space.knobs if f"{knob.name}.choices" in described and not isinstance(knob, ChoiceKnob)]
    return frozenset(name for name in numbered if identity.get(f"space {name}.choices") != described[f"{name}.choices"])


def _best_first(trials: Sequence[Trial], identity: Mapping[str, object]) -> list[Trial]:
    """The front of these trials by their study's objectives, then the front of the others, and so on; within one by number."""
    recorded = identity.get("objectives")
    assert isinstance(recorded, list)  # `Study.open` wrote it
    objectives = [Objective(name, direction, unit) for name, direction, unit in recorded]
    points = np.array([losses(objectives, read_values(objectives, trial.outcome)) for trial in trials if trial.outcome is not None])
    waiting, ordered = np.arange(len(trials)), []
    while len(waiting):
        on_front = non_dominated(points[waiting])
        ordered += [trials[place] for place in waiting[on_front].tolist()]
        waiting = waiting[~on_front]
    return ordered
