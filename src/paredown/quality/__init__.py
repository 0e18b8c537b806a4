"""How good hypotheses are: BLEU, chrF, chrF++ and WER, each with an interval."""

from paredown.quality.paired import Difference, paired_difference
from paredown.quality.scores import METRICS, Score, score

__all__ = ["METRICS", "Difference", "Score", "paired_difference", "score"]
