"""How good hypotheses are, each figure with an interval, and what may be claimed of two systems: difference, no difference, no loss."""

from paredown.quality.judgement import NonInferiority, non_inferiority
from paredown.quality.metrics import METRICS
from paredown.quality.paired import Difference, paired_difference
from paredown.quality.scores import Score, score
from paredown.quality.significance import Significance, approximate_randomization, dagger, mapsswe, paired_bootstrap

__all__ = [
    "METRICS",
    "Difference",
    "NonInferiority",
    "Score",
    "Significance",
    "approximate_randomization",
    "dagger",
    "mapsswe",
    "non_inferiority",
    "paired_bootstrap",
    "paired_difference",
    "score",
]
