"""Which shapes and runs tell the costs of a target's operations: few, and each quantity varied independently of the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paredown.space.configuration import Kernel
from paredown.space.inventory import Inventory
from paredown.space.operations import Structure
from paredown.trials.predicting.probes import Shape
from paredown.trials.predicting.stage_times import Run

# Levels of four factors in nine rows: any two factors meet in all nine combinations (the orthogonal array L9 of Taguchi).
_ARRAY = ((0, 0, 0, 0), (0, 1, 1, 1), (0, 2, 2, 2), (1, 0, 1, 2), (1, 1, 2, 0), (1, 2, 0, 1), (2, 0, 2, 1), (2, 1, 0, 2), (2, 2, 1, 0))
# A fifth factor, uncorrelated with each of the four and constant at no level of theirs (found by trying all orders).
_FIFTH = (2, 0, 2, 0, 0, 1, 2, 1, 1)
_BLOCKS, _UNITS, _WIDTHS = (0.15, 0.75, 1.5), (0.25, 0.75, 1.5), (0.7, 1.0, 1.2)  # times those of the model
_FRAMES, _TOKENS, _BEAMS = (150, 600, 300, 450), (10, 20, 30), (10, 1, 5, 2, 8)
REFERENCE = "reference"
_REFERENCE_RUN = (200, 10, 5)  # frames, tokens, beam


@dataclass(frozen=True)
class ModelSize:
    """The shape that probes are made around: blocks, widths of the feed-forwards (None where there are none), and of all between them."""

    encoder_blocks: int
    decoder_blocks: int
    encoder_units: int | None
    decoder_units: int | None
    width: int

    @classmethod
    def of(cls, inventory: Inventory) -> "ModelSize":
        """The width is that of the decoder's embedding."""
        blocks = dict(inventory.blocks)
        units: dict[str, int] = {}
        for layer in inventory.layers:
            if layer.path.endswith(".feed_forward.w_1"):
                units[layer.path.partition(".")[0]] = layer.shape[0]
        width = next(layer.shape[1] for layer in inventory.layers if layer.group == "decoder.embed")
        return cls(blocks["encoder"], blocks["decoder"], units.get("encoder"), units.get("decoder"), width)


PREDICTED: tuple[Kernel, ...] = ("fp32", "int8")


@dataclass(frozen=True)
class ProbePlan:
    """What to build and to time: shapes, by the name of their bundle, the runs to time, and the one that lies between any two of them."""

    shapes: tuple[tuple[str, Shape], ...]
    runs: tuple[Run, ...]
    reference: Run


def plan_probes(size: ModelSize, structure: Structure, kernels: Sequence[Kernel], hop_samples: int, most_beams: int) -> ProbePlan:
    """Nine shapes a kernel around the model's own, each decoded at five beams, and the model's own shape as the reference.

    `most_beams`: the widest beam that a search at a fixed number of tokens takes, one below the vocabulary.
    Raises ValueError for a kernel whose cost is not known by its name: that of nbits depends on the bit-width.
    """
    if unknown := sorted(set(kernels) - set(PREDICTED)):
        raise ValueError(f"latencies are predicted of kernels {' and '.join(PREDICTED)}, got {', '.join(unknown)}")
    shapes = {REFERENCE: Shape(kernels[0])}
    for kernel in kernels:
        shapes |= {shape.name: shape for shape in _shapes(size, structure, kernel)}
    runs: list[Run] = []
    for place, name in enumerate(shapes):
        for turn, wanted in enumerate(_BEAMS):
            count = len(_BEAMS) * place + turn
            frames, tokens = _FRAMES[count % len(_FRAMES)], _TOKENS[(count // len(_FRAMES) + turn) % len(_TOKENS)]
            beam = min(most_beams, wanted)
            runs.append(Run(name, frames * hop_samples, tokens, beam))
    frames, tokens, beam = _REFERENCE_RUN
    return ProbePlan(tuple(shapes.items()), tuple(runs), Run(REFERENCE, frames * hop_samples, tokens, min(most_beams, beam)))


def _shapes(size: ModelSize, structure: Structure, kernel: Kernel) -> Iterator[Shape]:
    heads = structure.encoder_heads * structure.decoder_heads
    for (a, b, c, d), e in zip(_ARRAY, _FIFTH, strict=True):
        yield Shape(
            kernel=kernel,
            encoder_blocks=max(1, round(_BLOCKS[a] * size.encoder_blocks)),
            decoder_blocks=max(1, round(_BLOCKS[b] * size.decoder_blocks)),
            encoder_units=_scaled(size.encoder_units, _UNITS[c]),
            decoder_units=_scaled(size.decoder_units, _UNITS[d]),
            width=max(1, round(_WIDTHS[e] * size.width / (2 * heads))) * 2 * heads,
        )


def _scaled(units: int | None, factor: float) -> int | None:
    return None if units is None else max(1, round(factor * units))
