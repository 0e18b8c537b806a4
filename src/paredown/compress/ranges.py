"""Static ranges of activations: between which numbers a layer's inputs are rounded to uint8, whatever it is called with.

A range reaches from the smallest to the largest number that was read in any call on the analysis split (and holds 0). Layers that read the
same numbers have one range. A narrowed layer has that of the inputs that stay. Of what the second of two factors reads, only the kept rows
are known: its range is theirs.

Why nothing is cut off: with the inputs of all layers rounded and their weights in floats, ranges heard on 60 utterances of the bundled
model's analysis split, the posteriors of 30 utterances of its search split diverge by 2.2e-4 nats with dynamic ranges; with static ones by

    4.2e-4 from smallest to largest             5.5e-4 without the outer 0.01 % of the numbers (4.2e-3 without 0.1 %)
    4.2e-4 with the least squared error         1.1e-3 from the 20th to the 80th percentile of the calls' ends
    6.9e-4 a fifth wider                        3.9e-4 of eight rows an utterance (3.6e-4 with their least squared error)

So a hard cut costs more than finer steps bring, and between the best there is little to choose (one sample of 30; 4 bits of the weights
alone: 2e-2). The plainest of them cuts off nothing that was ever heard.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from paredown.compress.calibration import Calibration, LayerRows
from paredown.compress.narrow import Cut
from paredown.compress.tensors import Quantized, Tensor, as_matrix
from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import parts_of


@dataclass(frozen=True)
class Range:
    """From the smallest to the largest number, float32; it holds 0."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -np.inf < self.low <= 0 <= self.high < np.inf:
            raise ValueError(f"a range of activations must be finite and hold 0, got [{self.low}, {self.high}]")

    @classmethod
    def of(cls, inputs: LayerRows) -> "Range":
        """The range of all calls; raises ValueError for numbers that are not finite."""
        return cls(float(min(inputs.least.min(), 0.0)), float(max(inputs.most.max(), 0.0)))


def find_ranges(
    inventory: Inventory,
    configuration: Configuration,
    calibration: Calibration,
    tensors: Mapping[str, Tensor],
    cuts: Mapping[str, Cut],
) -> dict[str, Range]:
    """The ranges of every layer and factor that the int8 kernel multiplies; none where activations are dynamic.

    `inventory`: of the whole model; `tensors` and `cuts`: of the compressed one. Raises BadInput, naming the layer, where the calibration
    has not heard what it reads.
    """
    if configuration.scheme.activations != "static":
        return {}
    ranges: dict[str, Range] = {}
    for layer in inventory.layers:
        if not _is_multiplied(layer) or configuration.kernels_of.get(layer.path, "int8") != "int8":
            continue
        parts = [part for part in parts_of(layer.path, configuration) if isinstance(tensors.get(f"{part}.weight"), Quantized)]
        if not parts:
            continue
        inputs = calibration.inputs(layer.path)
        if inputs is None:
            raise BadInput(f"static activations need a range of what every int8 layer reads, the calibration has none of {layer.path}")
        ranges |= {part: Range.of(read) for part, read in read_parts(inputs, layer.path, configuration, tensors, cuts)}
    return ranges


def read_parts(
    inputs: LayerRows, path: str, configuration: Configuration, tensors: Mapping[str, Tensor], cuts: Mapping[str, Cut]
) -> Iterator[tuple[str, LayerRows]]:
    """What is left of a layer, and what each part of it reads, from the `inputs` of the whole.

    That are the inputs that stay, and behind `down` its results. The ranges of calls are known of the inputs alone; that of the results is
    taken to be the range of all that are there.
    """
    cut = cuts.get(f"{path}.weight")
    if cut is not None and cut.axis == 1:
        kept = {name: getattr(inputs, name)[..., cut.indices] for name in ("rows", "least", "most")}
        inputs = replace(inputs, **kept)
    for part in parts_of(path, configuration):
        yield part, inputs
        if part == f"{path}.down":
            with threadpool_limits(1, user_api="blas"):  # the same bits however many cores there are
                rows = inputs.rows @ as_matrix(tensors[f"{part}.weight"]).T
            lows, highs = np.full(len(rows), rows.min()), np.full(len(rows), rows.max())
            inputs = LayerRows(inputs.paths, rows, lows, highs, rows.min(axis=0), rows.max(axis=0))


def _is_multiplied(layer: LayerInfo) -> bool:
    """Whether the int8 kernel takes it as a product (`paredown.bundle.graphs.kernels`); embeddings are looked up."""
    return layer.kind == "linear" or (layer.kind == "conv" and layer.shape[1] > 1)
