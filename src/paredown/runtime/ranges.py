"""Ranges of activations that are known before: the scale and zero point by which QuantizeLinear rounds numbers to uint8.

    code = clip(round(x / scale) + zero, 0, 255)        x is about scale * (code - zero)

Every range holds 0, which is rounded without an error. The arithmetic is that of DynamicQuantizeLinear, in float32: so a static range that
is the range of a call gives what the dynamic kernel gives.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS = 255


def to_steps(ranges: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scales and zero points [n] of ranges [n, 2], each a smallest and a largest number.

    Raises ValueError for what is no range: numbers that are not finite, or an order other than smallest, 0, largest.
    """
    if ranges.ndim != 2 or ranges.shape[1] != 2:
        raise ValueError(f"ranges of activations must be pairs, got an array {list(ranges.shape)}")
    lows, highs = ranges[:, 0], ranges[:, 1]
    good = np.isfinite(ranges).all(axis=1) & (lows <= 0) & (highs >= 0)
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"a range of activations must be finite and hold 0, got [{lows[row]}, {highs[row]}] in row {row}")
    scales = ((highs - lows) / np.float32(LEVELS)).astype(np.float32)
    scales[scales == 0] = 1  # nothing but zeros was seen, or next to nothing
    if not np.isfinite(scales).all():
        raise ValueError("a range of activations must be narrower than the largest float32")
    return scales, np.rint(np.clip(-lows / scales, 0, LEVELS)).astype(np.uint8)
