"""What each utterance adds to a paired effect: the effect, linear in the statistics of the utterances (the infinitesimal jackknife).

A corpus score is a smooth function of summed statistics. Its gradient at the sums of a corpus turns the statistics of an utterance into
points of the metric, whose spread over utterances gives the standard error of the effect, in every resampled corpus too.
"""

import numpy as np
from numpy.typing import NDArray

from paredown.quality.corpus import Counts
from paredown.quality.pairs import Pairs
from paredown.quality.sums import scores

Real = NDArray[np.float64]
STEP = 1e-5
"""Share of a sum by which it is moved to either side: the error of the quotient is near 1e-10 of it."""


def influences(pairs: Pairs) -> Real:
    """Points by which each utterance moves the effect, [utterances]; their mean is 0, their spread over sqrt(utterances) the error."""
    return _influence(pairs.metric, pairs.candidate) - _influence(pairs.metric, pairs.reference)


def _influence(metric: str, statistics: Counts) -> Real:
    total = statistics.sum(axis=0).astype(np.float64)
    steps = np.diag(np.maximum(STEP * total, STEP))
    slope = (scores(metric, total + steps) - scores(metric, np.maximum(total - steps, 0))) / (2 * np.diag(steps))
    return np.asarray(len(statistics) * (statistics - statistics.mean(axis=0)) @ slope)
