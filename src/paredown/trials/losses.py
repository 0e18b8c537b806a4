"""What quantizing one part of the model alone costs in chrF: the measured loss that sensitivities are compared with.

A single layer at a width of interest often changes no translation of a few dozen utterances, so that single layers cannot be ranked: by
default the parts are module groups and blocks, whose sensitivity is the sum of their layers' (Eq. 8 of the lossless 4-bit Conformer paper).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from paredown.analysis.agreement import Agreement, agreement, summed
from paredown.data import Split
from paredown.quality import score
from paredown.space.configuration import Configuration
from paredown.space.inventory import LayerInfo, block_of
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.workshop import Workshop

Part = Literal["group", "block", "layer"]


def part_of(layer: LayerInfo, part: Part) -> str:
    """The name of the part that a layer belongs to; layers outside blocks are those of their group."""
    if part not in get_args(Part):
        raise ValueError(f"parts must be one of {', '.join(get_args(Part))}, got {part!r}")
    block = block_of(layer.path)
    if part == "block" and block is not None:
        return f"{block[0]} block {block[1]}"
    return layer.path if part == "layer" else layer.group


def measure_losses(
    workshop: Workshop,
    decoder: Decoder,
    split: Split,
    bits: int,
    part: Part,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """chrF that the bundle loses on the split when one part alone has so many bits, all others in fp32; of every part, in network order.

    As many decodings of the split as there are parts, and one of the uncompressed model.
    """
    model, references = workshop.model, split.references(workshop.model.task)
    plain = uncompressed(model)
    parts: dict[str, list[str]] = {}
    for layer in model.inventory().layers:
        parts.setdefault(part_of(layer, part), []).append(layer.path)

    def chrf(configuration: Configuration) -> float:
        texts = [found.text for found in decoder.decode(workshop.build(configuration), split)]
        return score("chrf", texts, references).value

    whole, losses = chrf(plain), {}
    for done, (name, paths) in enumerate(parts.items(), 1):
        changed = replace(plain, bits=tuple((path, bits) for path in paths))
        losses[name] = whole - chrf(changed)
        workshop.discard(changed)
        if progress is not None:
            progress(done, len(parts))
    return losses


def rank_agreement(
    what: str, losses: Mapping[str, float], layers: Sequence[LayerInfo], sensitivity: NDArray[np.float64], part: Part
) -> Agreement:
    """Kendall's tau of a sensitivity [layers], at the width of the losses, with the losses of the parts that the layers make up."""
    totals = summed(sensitivity, [part_of(layer, part) for layer in layers])
    return agreement(what, np.array([totals[name] for name in losses]), np.array(list(losses.values())))
