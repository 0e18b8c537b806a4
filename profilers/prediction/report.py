"""How good predictions are: their relative errors, and whether they put things in the right order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

CLOSE = 0.10


@dataclass(frozen=True)
class PredictorReport:
    """Predictions beside measurements of configurations that the fit did not see.

    `median_error`: of the absolute relative errors; `close_share`: of those at most 10 %; `spearman`: rank correlation over the pairs
    whose measured intervals do not overlap, NaN where there is none; `pairs`: how many of all these are; `span`: longest measured to
    shortest.
    """

    configurations: int
    median_error: float
    close_share: float
    spearman: float
    pairs: int
    span: float

    @classmethod
    def of(cls, predicted_ms: Sequence[float], measured_ms: Sequence[float], intervals_ms: Sequence[tuple[float, float]]) -> Self:
        """Raises ValueError where there are not equally many of each, or none, or a measured latency is not above 0."""
        predicted, measured = np.asarray(predicted_ms, np.float64), np.asarray(measured_ms, np.float64)
        if not len(predicted) == len(measured) == len(intervals_ms) or not len(measured):
            raise ValueError(f"a report takes one or more of each, got {len(predicted)}, {len(measured)} and {len(intervals_ms)}")
        if not measured.min() > 0:
            raise ValueError(f"measured latencies must be above 0, got {float(measured.min())}")
        errors = np.abs(predicted / measured - 1.0)
        apart = apart_pairs(intervals_ms)
        return cls(
            configurations=len(measured),
            median_error=float(np.median(errors)),
            close_share=float(np.mean(np.abs(predicted - measured) <= CLOSE * measured)),
            spearman=rank_correlation(predicted, measured, apart),
            pairs=int(np.count_nonzero(np.triu(apart))),
            span=float(measured.max() / measured.min()),
        )


def apart_pairs(intervals: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Which pairs [n, n] of intervals (low, high) have no point in common."""
    low, high = np.array(intervals, np.float64).reshape(-1, 2).T
    before = high[:, None] < low[None, :]
    apart: NDArray[np.bool_] = before | before.T
    return apart


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64], pairs: NDArray[np.bool_]) -> float:
    """Spearman's coefficient over some pairs [n, n] alone; over all pairs it is Spearman's own. NaN where no pair tells anything.

    As a sum over pairs, of the products of their rank differences over the root of the products of their squares.
    Source: Daniels, The relation between measures of correlation (1944); Kendall, Rank Correlation Methods, section 2.
    """
    ranks = [rankdata(values) for values in (one, other)]
    first, second = ((rank[:, None] - rank[None, :])[pairs] for rank in ranks)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / scale) if scale > 0 else float("nan")
