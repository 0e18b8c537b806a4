"""What quality a trial would have had that was ended by its loss alone: samplers must learn from it, or they ask for its like again.

A straight line through the trials that have both figures; of 133 configurations of the bundled model the two correlate with -0.96.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paredown.profilers.measurement import Measurement
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial

LOSS, QUALITY = "loss", "quality"
LEAST = 4  # trials with both, before a line means anything


@dataclass(frozen=True)
class LossLine:
    """Quality as `slope` times loss plus `offset`; `variance` of what departs from that."""

    slope: float
    offset: float
    variance: float

    @classmethod
    def through(cls, trials: Sequence[Trial]) -> "LossLine | None":
        """None where too few trials have both, or all have one loss."""
        found = [trial.outcome.measurement_of for trial in trials if trial.outcome is not None]
        pairs = np.array([(figures[LOSS].value, figures[QUALITY].value) for figures in found if LOSS in figures]).reshape(-1, 2)
        if len(pairs) < LEAST or np.ptp(pairs[:, 0]) == 0.0:
            return None
        slope, offset = np.polyfit(pairs[:, 0], pairs[:, 1], 1).tolist()
        residual = pairs[:, 1] - slope * pairs[:, 0] - offset
        return cls(slope, offset, float((residual**2).sum() / (len(pairs) - 2)))

    def complete(self, partial: Outcome) -> Outcome:
        """The same with an estimate of quality, and its 95 % interval."""
        value = self.slope * partial.measurement_of[LOSS].value + self.offset
        reach = 1.96 * self.variance**0.5
        guess = Measurement(value, "points", (value - reach, value + reach), provenance="estimated")
        return Outcome((*partial.measurements, (QUALITY, guess)))


def ended_by_loss(trial: Trial) -> bool:
    """Whether its loss is known and its quality is not."""
    figures = {} if trial.partial is None else trial.partial.measurement_of
    return LOSS in figures and QUALITY not in figures
