"""Bootstrap intervals over samples that come in clusters: of medians, and of the typical ratio of two candidates.

Repeated runs of one utterance are not independent: a whole utterance is drawn, with all its repeats. Nor are runs of one load of a model:
where it lies in memory makes it some percent faster or slower until it is loaded anew. Ratios know both levels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

RESAMPLES = 2000
_CHUNK_SAMPLES = 2_000_000  # 16 MB of float64 at a time
_TRIMMED = 0.2  # of either side
_ENDS = (0.025, 0.975)
Doubles = NDArray[np.float64]
Labels = NDArray[np.intp]


def median_interval(samples: Doubles, rng: np.random.Generator, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile bootstrap: the 95 % interval of the median of all samples.

    `samples`: [items, repeats], finite. Returns (low, high) in the unit of the samples; with one sample it has no width.
    With a single item its repeats are all there is, and they are drawn instead.
    Raises ValueError on an empty array or another number of dimensions.
    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), section 13.3; clusters: section 8.
    """
    if samples.ndim != 2 or samples.size == 0:
        raise ValueError(f"samples must be a non-empty array [items, repeats], got shape {samples.shape}")
    if samples.shape[0] == 1:
        samples = samples.T
    return cluster_median_interval(samples.ravel(), np.repeat(np.arange(samples.shape[0]), samples.shape[1]), rng, resamples)


def cluster_median_interval(values: Doubles, clusters: Labels, rng: np.random.Generator, resamples: int = RESAMPLES) -> tuple[float, float]:
    """`median_interval` of values [samples] with the label of each one's cluster [samples]; clusters may differ in size."""
    _check(values, clusters)
    _, labels, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(counts) == 1:
        labels, counts = np.arange(values.size), np.ones(values.size, dtype=np.intp)
    order = np.argsort(values, kind="stable")
    ordered, places = values[order], labels[order]
    chunk = max(1, _CHUNK_SAMPLES // values.size)
    medians = []
    for begin in range(0, resamples, chunk):
        rows = min(chunk, resamples - begin)
        drawn = _draw(len(counts), rows, rng)[:, places]  # how often each sample, ascending, was drawn
        below = np.cumsum(drawn, axis=1)
        half = below[:, -1:] / 2.0
        low, high = (below < half).sum(axis=1), (below <= half).sum(axis=1)  # the two middle ones, which are one where the count is odd
        medians.append((ordered[low] + ordered[high]) / 2.0)
    low_end, high_end = np.quantile(np.concatenate(medians), _ENDS)
    return float(low_end), float(high_end)


def trimmed_mean(values: Doubles) -> float:
    """The mean without the lowest and the highest fifth: nearly as exact as the mean where noise is normal, deaf to single spikes."""
    ordered = np.sort(values)
    cut = int(_TRIMMED * values.size)
    return float(ordered[cut : values.size - cut].mean())


def trimmed_mean_interval(
    values: Doubles, items: Labels, loads: Labels, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of the trimmed mean of all values, for samples that share items and loads.

    `values`: [samples], finite; `items`, `loads`: the label of each one's utterance and of the load of the model it ran on, [samples].
    Returns (low, high) in the unit of the values; with one sample it has no width.

    Loads are drawn with all their samples; so are items, but what both ways of drawing hold, the noise of single samples, counts once
    (Cameron, Gelbach, Miller, Robust Inference with Multiway Clustering, 2011, eq. 2.8). With one load items alone are drawn, with
    one item loads alone, with one of both the samples themselves. The trimmed mean is drawn through its influence function, the
    winsorized values (Tukey, McLaughlin 1963), which costs a product of matrices in place of 2,000 sorts. A percentile interval of few
    clusters is too narrow: it is widened as Student's t is wider than the normal (Hesterberg, What Teachers Should Know About the
    Bootstrap, 2015, section 4.4).
    Raises ValueError on an empty array or labels of another length.
    """
    _check(values, items)
    _check(values, loads)
    center = trimmed_mean(values)
    if values.size == 1:
        return center, center
    influences = _influences(values)
    by_item, by_load = _deviations(influences, items, rng, resamples), _deviations(influences, loads, rng, resamples)
    if by_item is None and by_load is None:
        by_item = _deviations(influences, np.arange(values.size), rng, resamples)
    drawn = np.zeros(resamples) if by_load is None else by_load
    if by_item is not None:
        drawn = drawn + by_item * (1.0 if by_load is None else _share_beside_noise(influences, by_item))
    low, high = np.quantile(drawn, _ENDS)
    return center + float(low), center + float(high)


def _influences(values: Doubles) -> Doubles:
    """What each sample adds to the trimmed mean, times their number; they sum to zero."""
    ordered = np.sort(values)
    cut = int(_TRIMMED * values.size)
    clipped = np.clip(values, ordered[cut], ordered[values.size - 1 - cut])
    return np.asarray((clipped - clipped.mean()) / (1.0 - 2.0 * cut / values.size))


def _share_beside_noise(influences: Doubles, by_item: Doubles) -> float:
    """What is left of deviations by item, as a factor, without the noise of single samples."""
    noise, spread = float(influences.var() / (influences.size - 1)), float(by_item.var())
    return float(np.sqrt(max(0.0, 1.0 - noise / spread))) if spread > 0 else 0.0


def _deviations(influences: Doubles, clusters: Labels, rng: np.random.Generator, resamples: int) -> Doubles | None:
    """Deviations [resamples] of the estimate when whole clusters are drawn, widened for few of them; None where there is only one."""
    _, labels, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    count = len(sizes)
    if count == 1:
        return None
    drawn = _draw(count, resamples, rng)
    sums = np.bincount(labels, weights=influences, minlength=count)
    widened = np.sqrt(count / (count - 1)) * float(stdtrit(count - 1, _ENDS[1]) / ndtri(_ENDS[1]))
    return np.asarray(widened * (drawn @ sums) / (drawn @ sizes))


def _draw(count: int, resamples: int, rng: np.random.Generator) -> Doubles:
    """How often each of `count` clusters is drawn in each resample, [resamples, clusters]."""
    places = rng.integers(count, size=(resamples, count)) + count * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def _check(values: Doubles, labels: Labels) -> None:
    if values.ndim != 1 or values.size == 0 or labels.shape != values.shape:
        raise ValueError(f"samples and their labels must be non-empty arrays of one length, got shapes {values.shape} and {labels.shape}")
