"""A quick bundle that candidates are timed beside, in the place of the uncompressed one, which takes most of the time of every measurement.

The first compressed bundle that a study measures is timed beside the uncompressed model and becomes the anchor: later candidates are timed
beside it, and their ratio is multiplied with its own. So all of them share the anchor's error, which orders nobody differently; it is
part of every interval. A study that goes on takes the same anchor again, with the figure that it had.
"""

from dataclasses import dataclass, replace
from math import exp, hypot, log
from pathlib import Path

from paredown.profilers.latency import Latency
from paredown.profilers.measurement import Measurement
from paredown.space.configuration import Configuration

BESIDE = "timed_beside"  # in the detail of a latency: the digest of the anchor, or what follows
PLAIN = "uncompressed"
FIXED = "fixed_tokens_ratio"  # in the detail of a latency: to what it was timed beside, at the same number of tokens
QUICK = 0.7  # of the uncompressed model's latency: a slower bundle would hardly save time


@dataclass(frozen=True)
class Anchor:
    """`bundle` of `configuration`; its latency on the scale of the study, with its interval. `fixed_ratio`: to the uncompressed model, both
    decoding the same number of tokens.
    """

    configuration: Configuration
    bundle: Path
    latency_ms: float
    ci95: tuple[float, float]
    fixed_ratio: float | None = None

    def place(self, beside: Latency) -> Measurement:
        """What a candidate takes on the scale of the study, timed beside the anchor; the intervals of both ratios are independent."""
        free, raw = beside.free, beside.to_measurement()
        value = free.ratio * self.latency_ms
        low, high = (hypot(log(end / own), log(bound / self.latency_ms)) for end, own, bound in self._ends(free.ratio_ci95, free.ratio))
        kept = [(name, entry) for name, entry in raw.detail if "ratio" not in name]  # those are to the anchor
        ratio = raw.detail_of.get(FIXED)
        if isinstance(ratio, float) and self.fixed_ratio is not None:
            kept.append((FIXED, ratio * self.fixed_ratio))
        detail = (*kept, ("clock_median", raw.value), (BESIDE, self.configuration.digest[:12]))
        return replace(raw, value=value, ci95=(value * exp(-low), value * exp(high)), detail=detail)

    def _ends(self, around: tuple[float, float], ratio: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return (around[0], ratio, self.ci95[0]), (around[1], ratio, self.ci95[1])


def may_anchor(figure: Measurement, reference_ms: float) -> bool:
    """Whether a measured latency may stand for the scale of later ones: quick, and timed beside the uncompressed model itself."""
    return figure.ci95 is not None and figure.value < QUICK * reference_ms and figure.detail_of.get(BESIDE) == PLAIN
