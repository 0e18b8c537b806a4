"""Symmetric linear quantization of one weight (Eq. 5 and 6 of the lossless 4-bit Conformer paper).

The step is max|W| / (2^(n-1) - 1): with the printed table, which starts from max|W| itself, the largest code would overshoot the
largest weight 2^(n-1) - 1 times over.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Array, Quantized
from paredown.space.configuration import MAX_BITS, MIN_BITS


def quantize(
    weight: Array,
    bits: int,
    granularity: Literal["channel", "tensor"] = "channel",
    mask: NDArray[np.bool_] | None = None,
    scales: Array | None = None,
) -> Quantized:
    """The nearest codes of a weight [channels, ...], half to even; pruned weights (mask False) get code 0.

    The scale is taken over the surviving weights of a channel, or of the tensor; a channel of zeros gets scale 1. `scales` [channels] or
    [1] are taken instead where they are given (learned ones); weights beyond the largest code are clipped. Raises ValueError on a
    bit-width outside [2, 8], on a weight that is not finite, and on scales that do not fit.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bit-width must lie in [{MIN_BITS}, {MAX_BITS}], got {bits}")
    weight = np.asarray(weight, dtype=np.float32)
    if mask is not None:
        weight = weight * mask
    rows = weight.reshape(len(weight) if granularity == "channel" else 1, -1)
    largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
    if not np.isfinite(largest).all():
        raise ValueError(f"a weight to quantize must be finite, got {largest[~np.isfinite(largest)][0]}")
    top = 2 ** (bits - 1) - 1
    if scales is None:
        scales = (largest / np.float32(top)).astype(np.float32)
        scales[scales == 0] = 1  # a channel of zeros, or one whose step is too small for float32
    else:
        scales = _checked(scales, len(rows))
    codes = np.rint(rows / scales[:, None])
    np.clip(codes, -top, top, out=codes)  # the step is rounded, coarsely where it is denormal
    return Quantized(codes.astype(np.int8).reshape(weight.shape), scales, bits, mask)


def _checked(scales: Array, channels: int) -> Array:
    if scales.shape != (channels,):
        raise ValueError(f"scales must be [{channels}], got {list(scales.shape)}")
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"scales must be finite and above 0, got {scales.min():g}")
    return np.asarray(scales, dtype=np.float32)
