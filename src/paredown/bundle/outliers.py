"""Activation outliers: which layers the int8 kernel must not compute, because its one scale a call is too coarse for what they read.

Activations are rounded to 256 steps between the smallest and the largest of all numbers, of a call or (static) of all calls. One number a
hundred times as large as the others, and those are all rounded to a few steps, or to zero. That is what has doubled the word error rate of
int8 conformers elsewhere. So for every layer, over inputs kept by calibration, with W as the bundle holds it and dx what the rounding adds,

    error = sqrt( sum |W dx|^2 / sum |W (x - mean x)|^2 )

The mean is taken out because large activations are often constant: beside what they add to every output, the error would look small.

The layers of the bundled model have a median of 0.007 (43 dB), its output layer 0.008; behind the heavy-tailed activations of the
encoder's feed-forwards a few have 0.02 to 0.06, and the worst 0.17 (static: a median of 0.010, the worst 0.20). That one alone moves the
posteriors by 7e-7 nats, all int8 activations together by 2e-4: what such a layer adds to its block is small, and nothing is gained by a
slower kernel. `LIMIT` lies above them, and far below the 0.4 and more of a layer whose input has a unit a hundred times as large as the
others.

The cause lies in what a layer reads, so all that read it fall back together; apart they would also split the one product that they share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.graphs.kernels import choose_kernels
from paredown.compress.calibration import LayerRows
from paredown.compress.compress import CompressedModel
from paredown.compress.ranges import Range, read_parts
from paredown.compress.tensors import Quantized, as_matrix
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.reduced import reduce_inventory

LIMIT = 0.3


@dataclass(frozen=True)
class Outlier:
    """A layer that falls back to fp32; `error` is what rounding its activations does to its output, relative to what varies in it.

    `with_path`: the layer for whose sake it falls back, where its own error lies below the limit; they read the same numbers.
    """

    path: str
    error: float
    with_path: str | None = None

    def __str__(self) -> str:
        reason = f"; it reads what {self.with_path} reads" if self.with_path else ""
        return f"{self.path}: int8 activations would change what varies in its output by {100 * self.error:.0f} %{reason}"


def find_outliers(
    inventory: Inventory, compressed: CompressedModel, inputs: Sequence[LayerRows], limit: float = LIMIT
) -> tuple[Outlier, ...]:
    """The layers that the configuration has the int8 kernel compute, and whose outputs it would change by more than `limit`."""
    errors = measure_rounding(inventory, compressed, inputs)
    found: list[Outlier] = []
    for entry in inputs:
        measured = {path: errors[path] for path in entry.paths if path in errors}
        worst = max(measured, key=lambda path: measured[path], default="")
        if measured and measured[worst] > limit:
            found += [Outlier(path, error, None if error > limit else worst) for path, error in measured.items()]
    return tuple(found)


def with_fallbacks(configuration: Configuration, outliers: Sequence[Outlier]) -> Configuration:
    """The configuration with these layers computed in fp32 (their codes stay as they are)."""
    kernels = configuration.kernels_of | {outlier.path: "fp32" for outlier in outliers}
    return replace(configuration, kernels=tuple(kernels.items()))


def measure_rounding(inventory: Inventory, compressed: CompressedModel, inputs: Sequence[LayerRows]) -> Mapping[str, float]:
    """The error of every layer that the int8 kernel computes and whose inputs are known, by path; of two factors the larger."""
    configuration, errors = compressed.configuration, dict[str, float]()
    kernels = choose_kernels(reduce_inventory(inventory, configuration), configuration)
    for entry in inputs:
        for path in entry.paths:
            for part, read in read_parts(entry, path, configuration, compressed.tensors, compressed.cuts):
                tensor, static = compressed.tensors.get(f"{part}.weight"), compressed.ranges.get(part)
                if isinstance(tensor, Quantized) and kernels[part] == "int8":
                    weight, read = as_matrix(tensor).T, read if static is None else _with_range(read, static)
                    errors[path] = max(errors.get(path, 0.0), _relative(rounding_error(read) @ weight, read.rows @ weight))
    return errors


def _with_range(inputs: LayerRows, static: Range) -> LayerRows:
    """The inputs as if the range of every call were the static one."""
    return replace(inputs, lows=np.full_like(inputs.lows, static.low), highs=np.full_like(inputs.highs, static.high))


def rounding_error(inputs: LayerRows) -> NDArray[np.float32]:
    """What rounding adds to every number of the rows: uint8 steps over the range of the call, which always holds 0."""
    lows, highs = np.minimum(inputs.lows, 0)[:, None], np.maximum(inputs.highs, 0)[:, None]
    scales = np.where(highs > lows, (highs - lows) / np.float32(255), np.float32(1))
    zeros = np.rint(np.clip(-lows / scales, 0, 255))
    rounded: NDArray[np.float32] = (np.clip(np.rint(inputs.rows / scales) + zeros, 0, 255) - zeros) * scales
    return rounded - inputs.rows


def _relative(noise: NDArray[np.float32], outputs: NDArray[np.float32]) -> float:
    """Length of the noise over that of what varies in the outputs, both [n, out]; 0 where nothing varies."""
    varying = float(np.linalg.norm(outputs - outputs.mean(axis=0, dtype=np.float64)))
    return float(np.linalg.norm(noise)) / varying if varying > 1e-6 * float(np.linalg.norm(outputs)) else 0.0
