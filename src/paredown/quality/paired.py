"""The difference between two systems on the same utterances, with a paired bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sacrebleu.metrics import BLEU, CHRF

from paredown.quality.scores import RESAMPLES


@dataclass(frozen=True)
class Difference:
    """Score of the candidate minus score of the reference system, in points; `ci95` from resampled utterances, pairs kept together."""

    metric: str
    value: float
    ci95: tuple[float, float]
    utterances: int


def paired_difference(
    metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], seed: int = 0
) -> Difference:
    """How much better (above 0) or worse `candidate` is than `reference_system`; three lines of texts, [utterances] each.

    `metric` is bleu or chrf. Raises ValueError on another metric or where the lengths differ.
    """
    if metric not in ("bleu", "chrf"):
        raise ValueError(f"a paired difference is taken in bleu or chrf, got {metric!r}")
    if not len(candidate) == len(reference_system) == len(references) > 0:
        raise ValueError(f"lengths must be equal and above 0, got {len(candidate)}, {len(reference_system)} and {len(references)}")
    scorer = BLEU() if metric == "bleu" else CHRF()
    streams = [list(references)]
    ours, theirs = (np.asarray(scorer._extract_corpus_statistics(list(texts), streams)) for texts in (candidate, reference_system))

    def score(statistics: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> float:
        return float(scorer._compute_score_from_stats([int(value) for value in statistics.sum(axis=0)]).score)

    picks = np.random.default_rng(seed).integers(0, len(references), (RESAMPLES, len(references)))
    draws = [score(ours[pick]) - score(theirs[pick]) for pick in picks]
    ci95 = (float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5)))
    return Difference(metric, score(ours) - score(theirs), ci95, len(references))
