"""How good hypotheses are: BLEU, chrF, chrF++ and WER, each with an interval."""

from paredown.quality.scores import METRICS, Score, score

__all__ = ["METRICS", "Score", "score"]
