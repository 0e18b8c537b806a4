"""Bootstrap intervals of medians over samples that come in clusters.

Repeated runs of one utterance are not independent: a whole utterance is drawn, with all its repeats. With a single
utterance its repeats are all there is, and they are drawn instead.
"""

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
_CHUNK_SAMPLES = 2_000_000  # 16 MB of float64 at a time


def median_interval(samples: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile bootstrap: the 95 % interval of the median of all samples.

    `samples`: [items, repeats], finite. Returns (low, high) in the unit of the samples; with one sample it has no width.
    Raises ValueError on an empty array or another number of dimensions.
    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; clusters: section 8.
    """
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(f"samples must be a non-empty array [items, repeats], got shape {samples.shape}")
    if samples.shape[0] == 1:
        samples = samples.T
    items = samples.shape[0]
    chunk = max(1, _CHUNK_SAMPLES // samples.size)
    medians = []
    for begin in range(0, resamples, chunk):
        rows = min(chunk, resamples - begin)
        drawn = samples[rng.integers(items, size=(rows, items))].reshape(rows, -1)
        medians.append(np.median(drawn, axis=1, overwrite_input=True))
    low, high = np.quantile(np.concatenate(medians), (0.025, 0.975))
    return float(low), float(high)
