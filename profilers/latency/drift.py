"""Whether the machine became slower or faster while it was measured: heat, clocks, neighbours; read off the reference.

Candidates are timed next to the reference, so a drift does not move ratios. It moves medians, and says that the machine was not at rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.bootstrap import trimmed_mean, trimmed_mean_interval

TOLERATED_DRIFT = 0.02
_LEAST_PAIRS = 8
_CHUNKS = 4  # of a third that one load ran: neighbours in time are alike


@dataclass(frozen=True)
class Drift:
    """Relative change of the reference's durations from the first to the last third of the session (above 0: slower), and its interval."""

    change: float
    ci95: tuple[float, float]

    @property
    def significant(self) -> bool:
        """More than 2 %, and not by chance."""
        low, high = self.ci95
        return abs(self.change) > TOLERATED_DRIFT and not low <= 0.0 <= high


def measure_drift(
    durations_ms: NDArray[np.float64], items: NDArray[np.intp], loads: NDArray[np.intp], rng: np.random.Generator
) -> Drift | None:
    """The drift of runs [runs] in the order of time, each of an utterance `items` on a load `loads`.

    Runs of one utterance in the first and in the last third are compared, so that it does not matter which utterances came when. The
    interval draws loads of either third (stretches of time where there was only one). None with fewer than 8 such pairs.
    """
    third = len(durations_ms) // 3
    first, last = np.arange(third), np.arange(len(durations_ms) - third, len(durations_ms))
    pairs = [
        (early, late)
        for item in np.unique(items)
        for early, late in zip(first[items[first] == item], last[items[last] == item], strict=False)
    ]
    if len(pairs) < _LEAST_PAIRS:
        return None
    begins, ends = np.array(pairs, dtype=np.intp).T
    changes = np.log(durations_ms[ends] / durations_ms[begins])
    labels = loads if len(np.unique(loads)) > 2 else np.arange(len(durations_ms)) // max(1, -(-third // _CHUNKS))
    low, high = trimmed_mean_interval(changes, labels[begins], labels[ends], rng)
    return Drift(float(np.expm1(trimmed_mean(changes))), (float(np.expm1(low)), float(np.expm1(high))))
