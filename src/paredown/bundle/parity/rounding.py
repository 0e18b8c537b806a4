"""What a product of a graph must give, from the numbers that go into it: the kernels of onnxruntime, in exact sums.

Products are added up in integers or in float64; so all that is left to tell a right kernel from a wrong one by is the rounding of
float32 (or float16) at its ends. Tolerances are per result, and say so where they are made.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Quantized, Tensor

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
_UNIT, _HALF_UNIT = 2.0**-23, 2.0**-10  # distance of 1 to the next float32, float16
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Rounded:
    """Activations as uint8 `codes` (any shape): the number is `scale * (code - zero)`."""

    codes: NDArray[np.uint8]
    scale: float
    zero: int


@dataclass(frozen=True, eq=False)
class Expected:
    """Results [rows, out] and how far from each of them a right kernel may be."""

    values: Doubles
    tolerance: Doubles

    def excess(self, found: Doubles) -> float:
        """The largest difference in multiples of the tolerance; infinite for a NaN."""
        shares = np.abs(found - self.values) / self.tolerance
        return float(np.nan_to_num(shares, nan=np.inf).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights of one layer in torch's layout, its bias [out] or none, and what its output is multiplied by.

    As a matrix [out, in]; `in` of a 2-d convolution counts rows, columns and channels of its kernel, in this order.
    """

    weight: Tensor
    bias: Floats | None
    factor: float

    @property
    def codes(self) -> NDArray[np.int8]:
        """[out, in], of a quantized layer."""
        assert isinstance(self.weight, Quantized)
        return _as_matrix(self.weight.codes)

    @property
    def scales(self) -> Doubles:
        """One a channel, the factor inside."""
        assert isinstance(self.weight, Quantized)
        return np.broadcast_to(self.weight.scales.astype(np.float64) * self.factor, len(self.weight.codes))

    @property
    def dense(self) -> Doubles:
        """[out, in], the factor inside."""
        numbers = self.weight.dequantize() if isinstance(self.weight, Quantized) else self.weight
        return _as_matrix(numbers).astype(np.float64) * self.factor

    @property
    def shift(self) -> Doubles | float:
        """The bias, the factor inside."""
        return 0.0 if self.bias is None else self.bias.astype(np.float64) * self.factor


def _as_matrix(weight: NDArray[Any]) -> NDArray[Any]:
    return (weight.transpose(0, 2, 3, 1) if weight.ndim == 4 else weight).reshape(len(weight), -1)


def round_activations(x: Floats) -> Rounded:
    """ONNX's DynamicQuantizeLinear: one scale for all of x, whose range always holds 0; halves go to even."""
    low, high = min(np.float32(x.min()), np.float32(0)), max(np.float32(x.max()), np.float32(0))
    scale = np.float32(1) if low == high else np.float32((high - low) / np.float32(255))
    zero = np.rint(np.clip(-low / scale, np.float32(0), np.float32(255)))
    return Rounded(np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8), float(scale), int(zero))


def round_to_range(x: Floats, low: float, high: float) -> Rounded:
    """ONNX's QuantizeLinear with the scale and the zero point of a range; what lies outside of it is cut off, halves go to even."""
    ends = np.array([low, high], np.float32)
    scale = (ends[1] - ends[0]) / np.float32(255)
    scale = np.float32(1) if scale == 0 else scale
    zero = np.rint(np.clip(-ends[0] / scale, np.float32(0), np.float32(255)))
    return Rounded(np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8), float(scale), int(zero))


def multiply_codes(rows: NDArray[np.uint8], rounded: Rounded, layer: Layer) -> Expected:
    """Rows [rows, in] of rounded activations by int8 codes. Sums stay far below 2^53, so float64 adds them up exactly.

    The kernel turns an exact sum into float32, multiplies it by two scales and adds the bias: each rounds by half a unit at most.
    """
    sums = (rows.astype(np.float64) - rounded.zero) @ layer.codes.T.astype(np.float64)
    products = sums * (rounded.scale * layer.scales)
    return Expected(products + layer.shift, 4 * _UNIT * (np.abs(products) + np.abs(layer.shift)) + _TINY)


def multiply_codes_saturating(rows: NDArray[np.uint8], rounded: Rounded, layer: Layer) -> Doubles:
    """The same on an x86 processor without VNNI: two neighbouring products are added up in 16 bits and cut off there."""
    codes = layer.codes.astype(np.int64)
    paired = rows.shape[1] // 2 * 2
    products = rows[:, None, :].astype(np.int64) * codes[None]  # [rows, out, in]
    pairs = products[..., 0:paired:2] + products[..., 1:paired:2]
    sums = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=-1) + products[..., paired:].sum(axis=-1)
    results: Doubles = (sums - rounded.zero * codes.sum(axis=1)) * (rounded.scale * layer.scales) + layer.shift
    return results


def multiply_blocks(x: Doubles, layer: Layer, block: int, zero: int) -> Expected:
    """MatMulNBits at accuracy level 4: every block of a row is rounded to int8 by its own largest number, and added up in float32.

    Codes are stored as `zero` + code, and the kernel adds up activations times those, and the activations of every block times `zero`,
    apart: sums that are far larger than their difference. A sum of n blocks rounds n times and a few more, and errs by about the root of it
    (observed: 0.7 of the tolerance).
    Kernels multiply by the inverse of a step or divide by the step: an activation that this takes across half a step may be rounded
    either way, which moves the results by one step times its weights.
    """
    missing = -x.shape[1] % block
    blocks = np.pad(x, ((0, 0), (0, missing))).reshape(len(x), -1, block).astype(np.float32)
    largest = np.abs(blocks).max(axis=-1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    shares = blocks * inverse
    steps = (largest / np.float32(127)).astype(np.float64)
    rounded = np.rint(shares) * steps
    tied = np.abs(np.abs(shares - np.trunc(shares)) - 0.5) <= 2 * _UNIT * np.abs(shares)  # two kernels round twice each, by half a unit

    def lay(values: NDArray[Any]) -> Doubles:
        return values.reshape(len(x), -1)[:, : x.shape[1]].astype(np.float64)

    dense = layer.dense
    products = lay(rounded) @ dense.T
    stored = np.abs(dense + zero * layer.scales[:, None])
    added = np.abs(lay(rounded)) @ stored.T + zero * np.abs(rounded.sum(axis=-1)).sum(axis=-1)[:, None] * np.abs(layer.scales)
    tolerance = _UNIT * (np.sqrt(blocks.shape[1] + 4) / 2 * added + 4 * (np.abs(products) + np.abs(layer.shift)))
    if tied.any():
        tolerance = tolerance + lay(tied * steps) @ np.abs(dense).T
    return Expected(products + layer.shift, tolerance + _TINY)


def multiply_floats(x: Doubles, layer: Layer, half: bool = False) -> Expected:
    """Rows [rows, in] by float weights.

    A sum of float32 products is off by a few units of the lengths of its two vectors. In float16 the weights themselves are rounded, as
    if each product were off by a unit, and the result is rounded again.
    """
    products = x @ layer.dense.T
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(layer.dense, axis=1)
    largest = np.abs(products) + np.abs(layer.shift)
    tolerance = _HALF_UNIT * (lengths + largest) + 2.0**-24 if half else 8 * _UNIT * (lengths + largest)
    return Expected(products + layer.shift, tolerance + _TINY)
