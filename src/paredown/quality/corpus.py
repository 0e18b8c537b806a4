"""sacrebleu's corpus scores as sums over utterances, and bootstrap intervals over those sums.

sacrebleu takes references as a list of *streams* (one list for each alternative reference), not as a list of utterances: handed over
the other way round it scores the first utterance alone, with every reference as an alternative, and reports 56 for a model of 26 BLEU
(`errata.md`, on the first paper). This is the only file that calls it, and a test pins the orientation.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics import BLEU, CHRF

RESAMPLES = 1000
_OPTIONS: dict[str, dict[str, Any]] = {"bleu": {}, "chrf": {}, "chrf++": {"word_order": 2}}


class CorpusScorer:
    """BLEU, chrF or chrF++ against one reference for each utterance."""

    def __init__(self, metric: str, references: Sequence[str]) -> None:
        self._scorer = (BLEU if metric == "bleu" else CHRF)(**_OPTIONS[metric])
        self._streams = [list(references)]  # one stream of references, as long as the hypotheses: see above

    def statistics(self, hypotheses: Sequence[str]) -> NDArray[np.int64]:
        """sacrebleu's own statistics of each utterance, [utterances, statistics]; the corpus is their sum."""
        return np.asarray(self._scorer._extract_corpus_statistics(list(hypotheses), self._streams))

    def score(self, statistics: NDArray[np.int64]) -> float:
        """The corpus score of these utterances, in [0, 100]; higher is better."""
        return float(self._scorer._compute_score_from_stats([int(value) for value in statistics.sum(axis=0)]).score)

    @property
    def signature(self) -> str:
        """sacrebleu's signature; there once statistics were taken."""
        return str(self._scorer.get_signature())


def resample(utterances: int, seed: int) -> NDArray[np.int64]:
    """Utterances drawn with replacement, [resamples, utterances]."""
    return np.random.default_rng(seed).integers(0, utterances, (RESAMPLES, utterances))


def percentile_interval(draws: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the resampled values."""
    return float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))
