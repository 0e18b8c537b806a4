"""The first points of a study, a handful: what who knows the field would try first, and enough that a sampler can tell the axes apart.

Around one centre (four bits, a few zeros, the narrowest beam, all else gentle: where quality is nearly whole and costs are low) bits,
zeros, beam and structure (blocks, heads, widths, ranks) vary together, as they do along a front: fewer bits with more zeros and with less
structure, more bits with a wider beam. The input stays as it is: frames further apart do great damage before they save much. Every point
is solver-optimal at its average.
"""

from collections.abc import Iterable, Mapping

from paredown.search.trial import Candidate
from paredown.search.warm_start import gentlest
from paredown.space.axes.base import SearchSpace
from paredown.space.knobs import FloatKnob, Knob

LABEL = "opening"
_BITS, _FEWER, _MORE, _MOST = 4.0, 3.0, 4.5, 5.0  # on average
_WIDE, _WIDER = 2.0, 4.0  # hypotheses
_FEW, _MANY = 0.2, 0.5  # zeros
_STRUCTURE = ("layers", "heads", "width", "rank")  # axes that take whole parts of the network away


def open_with(space: SearchSpace) -> tuple[Candidate, ...]:
    """Different candidates with knob values, those first that are expected to be worth most."""
    found: dict[str, Candidate] = {}
    for point in _points({knob.name: knob for knob in space.knobs}, gentlest(space), space.lowest()):
        sound = space.checked(point)
        candidate = Candidate(LABEL, space.resolve(sound), tuple(sound.items()))
        found.setdefault(candidate.digest, candidate)
    return tuple(found.values())


def _points(knobs: Mapping[str, Knob], gentle: Mapping[str, float], harsh: Mapping[str, float]) -> list[dict[str, float]]:
    """Values of all knobs, some of them perhaps twice."""

    def at(name: str, value: float) -> dict[str, float]:
        return {knob.name: min(max(value, knob.low), knob.high) for knob in knobs.values() if _kind(knob.name) == name}

    def stepped(names: Iterable[str], steps: int = 1) -> dict[str, float]:
        return {name: _step(knobs[name], gentle[name], float(harsh[name]), steps) for name in names}

    structure = [name for name in knobs if name.partition(".")[0] in _STRUCTURE]
    bare = {**gentle, **at("bits.average", _BITS), **at("decode.beam_size", 1.0)}
    centre, small = bare | at("sparsity", _FEW), at("bits.average", _FEWER) | at("sparsity", _MANY)
    wide, wider = at("decode.beam_size", _WIDE), at("decode.beam_size", _WIDER)
    return [
        centre,
        centre | at("bits.average", _MORE) | wider,
        centre | small | stepped(structure[:1]),
        centre | small | wider,
        centre | stepped(structure[:1], 2),  # of several axes at once nothing might be left
        centre | wide,
        {**gentle, **at("bits.average", _MOST)},
        centre | small | stepped(structure[:1]) | wider,
        *(bare | stepped([name]) for name in structure),
        centre | at("bits.average", _FEWER),
    ]


def _kind(name: str) -> str:
    """All shares of sparsity are turned together, every other knob by itself."""
    return "sparsity" if name.startswith("sparsity.") else name


def _step(knob: Knob, gentle: float, harsh: float, steps: int) -> float:
    """So many steps from the gentlest value, not beyond the harshest: whole numbers, or two fifths of the way each."""
    if isinstance(knob, FloatKnob):
        return gentle + 0.4 * steps * (harsh - gentle)
    return gentle + max(-steps, min(steps, harsh - gentle))
