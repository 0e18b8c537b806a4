"""The search space of a study: the axes that its file asks for, over the analysis of its model, and the points to try first."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paredown.analysis.result import Analysis
from paredown.search.space_section import SpaceSection
from paredown.search.trial import Candidate
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.bits import BitsAxis
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.configuration import MAX_BITS, Configuration, Decode, Method, Scheme
from paredown.space.inventory import Inventory
from paredown.space.knobs import Knob
from paredown.trials.evaluation import UNCOMPRESSED

OBVIOUS_BITS = (8, 6, 4)


def uniform_bits(inventory: Inventory, bits: int, decode: Decode | None = None, method: Method = "rtn") -> Configuration:
    """Every layer at `bits` bits, its codes chosen by `method`, computed in int8, decoded as `decode` says."""
    layers = tuple((layer.path, bits) for layer in inventory.layers)
    return Configuration(bits=layers, scheme=Scheme(method=method), decode=decode or Decode())


def make_space(section: SpaceSection, inventory: Inventory, analysis: Analysis, own_hop: int, decode: Decode | None = None) -> SearchSpace:
    """The axes of the study file. Without the axis `bits` every layer has 8 bits, the widest codes that the int8 kernel takes.

    `own_hop`: hop length of the model's frontend, in samples. Where no axis says otherwise a configuration decodes as `decode` says.
    """
    axes: list[Axis] = []
    for stack, kept in section.layers.ranges.items() if section.layers is not None else ():
        order = analysis.layer_order.get(stack)
        axes.append(LayersAxis(stack, dict(inventory.blocks)[stack], order.removed if order else (), *kept))
    if section.sparsity is not None:
        axes.append(SparsityAxis(section.sparsity.groups, section.sparsity.max))
    if section.input is not None:
        axes.append(InputAxis(own_hop, section.input.hop_samples, section.input.inputs))
    if section.decode is not None:
        axes.append(DecodeAxis(section.decode.beam_size, section.decode.ctc_weight, section.decode.length_bonus))
    if section.bits is not None:
        columns = [analysis.widths.index(width) for width in section.bits.choices]
        sensitivity = np.ascontiguousarray(analysis.kl[:, columns])
        axes.append(BitsAxis(inventory, analysis.paths, section.bits.choices, sensitivity, *section.bits.average))
    return SearchSpace(axes, uniform_bits(inventory, MAX_BITS, decode, section.bits.method if section.bits else "rtn"))


def _gentlest(knob: Knob, decode: Decode) -> float:
    """The value that changes least: every block, no zeros, the shortest hop, the model's own rate, decoding nearest to the model's own."""
    axis, _, name = knob.name.partition(".")
    if axis == "decode":
        return float(min(max(getattr(decode, name), knob.low), knob.high))
    return knob.high if axis == "layers" else knob.low


def first_candidates(space: SearchSpace, section: SpaceSection, inventory: Inventory) -> Sequence[Candidate]:
    """The uncompressed model, uniform 8, 6 and 4 bits at full depth and, where bits are searched, the same averages by sensitivity."""
    decode, method = space.base.decode, space.base.scheme.method
    candidates = [Candidate("uncompressed", replace(UNCOMPRESSED, decode=decode))]
    candidates += [Candidate(f"uniform {bits} bits", uniform_bits(inventory, bits, decode, method)) for bits in OBVIOUS_BITS]
    if section.bits is not None:
        low, high = section.bits.average
        full = {knob.name: _gentlest(knob, decode) for knob in space.knobs}
        for bits in (average for average in (6, 5, 4) if low <= average <= high):
            knobs = full | {"bits.average": float(bits)}
            candidates.append(Candidate(f"mixed {bits} bits", space.resolve(knobs), tuple(knobs.items())))
    return candidates
