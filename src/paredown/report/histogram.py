"""The distribution of latencies as a few lines of text."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def bin_edges(samples: NDArray[np.float64], most_bins: int = 12) -> NDArray[np.float64]:
    """Edges [bins + 1] at round numbers that hold all samples, in at most `most_bins` bins.

    Raises ValueError on no sample, or one that is not finite.
    """
    if samples.size == 0 or not np.isfinite(samples).all():
        raise ValueError(f"a histogram needs finite samples, got {samples.size} of which {int(np.isfinite(samples).sum())} are finite")
    low, high = float(samples.min()), float(samples.max())
    span = max(high - low, abs(high) * 0.01, 1e-3)
    magnitude = 10.0 ** np.floor(np.log10(span / most_bins))
    for step in (factor * magnitude for factor in (*_ROUND_STEPS, 20.0)):
        first, last = np.floor(low / step), np.floor(high / step) + 1
        first, last = first - (first * step > low), last + (last * step <= high)  # a quotient can round past a whole number
        if last - first <= most_bins:
            break
    edges: NDArray[np.float64] = np.arange(first, last + 1) * step
    return edges


def draw_histogram(samples_ms: Sequence[float] | NDArray[np.float64], width: int = 40, most_bins: int = 12) -> tuple[str, ...]:
    """One line a bin: its range in ms, a bar whose longest is `width` characters, and how many samples lie in it."""
    samples = np.asarray(samples_ms, np.float64).ravel()
    edges = bin_edges(samples, most_bins)
    counts = np.histogram(samples, edges)[0]
    digits = max(0, -int(np.floor(np.log10(edges[1] - edges[0]) + 1e-9)))
    labels = [f"{low:.{digits}f} to {high:.{digits}f}" for low, high in pairwise(edges)]
    pad = max(map(len, labels))
    return tuple(
        f"{label:>{pad}}  {_bar(count / counts.max() * width):<{width}}  {count}" for label, count in zip(labels, counts, strict=True)
    )


def _bar(length: float) -> str:
    """A bar of that many characters, to an eighth; what is there at all is seen."""
    eighths = round(length * 8) or int(length > 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
