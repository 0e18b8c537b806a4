"""The first points of a study, a handful: what who knows the field would try first, and enough that a sampler can tell the axes apart.

Around one centre (everything gentle, four bits, the narrowest beam: where quality is nearly whole and costs are low) bits and beam vary
together, then each other axis takes one step by itself. Every point is solver-optimal at its average.
"""

from collections.abc import Mapping
from itertools import groupby

from paredown.search.trial import Candidate
from paredown.search.warm_start import gentlest
from paredown.space.axes.base import SearchSpace
from paredown.space.knobs import ChoiceKnob, FloatKnob, Knob

LABEL = "opening"
_BITS = (4.0, 5.0, 3.0)
_MIDDLE_BEAM = 3.0


def open_with(space: SearchSpace) -> tuple[Candidate, ...]:
    """Different candidates with knob values, those first that are expected to be worth most."""
    knobs = {knob.name: knob for knob in space.knobs}
    gentle, low = gentlest(space), space.lowest()
    centre = gentle | _bits(knobs, _BITS[0]) | {name: float(low[name]) for name in knobs if name == "decode.beam_size"}
    wide = _beam(knobs)
    points = [centre, *(centre | _bits(knobs, bits) | wide for bits in _BITS[1:])]
    for _, group in groupby((name for name in knobs if name.partition(".")[0] not in ("bits", "decode")), key=_kind):
        names = list(group)
        points.append(centre | {name: _step(knobs[name], gentle[name], float(low[name])) for name in names})
    found: dict[str, Candidate] = {}
    for point in points:
        sound = space.checked(point)
        candidate = Candidate(LABEL, space.resolve(sound), tuple(sound.items()))
        found.setdefault(candidate.digest, candidate)
    return tuple(found.values())


def _kind(name: str) -> str:
    """What takes its step together: all shares of sparsity; every other knob by itself."""
    return "sparsity" if name.startswith("sparsity.") else name


def _bits(knobs: Mapping[str, Knob], average: float) -> dict[str, float]:
    knob = knobs.get("bits.average")
    return {} if knob is None else {knob.name: min(max(average, knob.low), knob.high)}


def _beam(knobs: Mapping[str, Knob]) -> dict[str, float]:
    knob = knobs.get("decode.beam_size")
    return {} if knob is None else {knob.name: min(max(_MIDDLE_BEAM, knob.low), knob.high)}


def _step(knob: Knob, gentle: float, harsh: float) -> float:
    """One step from the gentlest value: the next choice or whole number, or two fifths of the way."""
    if isinstance(knob, ChoiceKnob):
        ordered = sorted(map(float, knob.choices), reverse=harsh < gentle)
        return ordered[min(1, len(ordered) - 1)] if gentle == ordered[0] else harsh
    if isinstance(knob, FloatKnob):
        return gentle + 0.4 * (harsh - gentle)
    return gentle + (0.0 if harsh == gentle else 1.0 if harsh > gentle else -1.0)
