"""Corpus scores from summed statistics, a thousand resampled corpora at a time.

Every metric here is a function of sums over utterances: n-gram counts (BLEU, chrF), edits and reference units (TER, WER, CER). The
columns and formulas are sacrebleu's (`BLEU.compute_bleu` with its default smoothing "exp", `CHRF._compute_f_score` without smoothing,
`TER._compute_score_from_stats`); tests hold them to its own functions.
"""

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
ORDERS = 4
BETA_SQUARED = 4.0


def scores(metric: str, sums: Real) -> Real:
    """Scores of corpora, [corpora], from their summed statistics, [corpora, statistics]."""
    sums = np.asarray(sums, dtype=np.float64)
    if metric == "bleu":
        return _bleu(sums)
    return _chrf(sums) if metric in ("chrf", "chrf++") else _rate(sums)


def _over(above: Real, below: Real) -> Real:
    """The quotient, 0 where nothing is below."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _bleu(sums: Real) -> Real:
    """Columns: words of the system, words of the references, four counts of matches, four of n-grams."""
    length, expected = sums[:, 0], sums[:, 1]
    correct, total = sums[:, 2 : 2 + ORDERS], sums[:, 2 + ORDERS : 2 + 2 * ORDERS]
    halvings = np.cumsum(correct == 0, axis=1)  # "exp": the k-th order without a match counts 1 / 2^k matches
    matched = np.where(correct > 0, correct, 0.5**halvings)
    usable = (total.min(axis=1) > 0) & (correct.max(axis=1) > 0)
    logarithms = np.log(np.where(usable[:, None], matched, 1.0)) - np.log(np.where(usable[:, None], total, 1.0))
    brevity = np.where(length < expected, np.exp(1 - expected / np.maximum(length, 1)), 1.0)
    return np.where(usable, 100 * brevity * np.exp(logarithms.mean(axis=1)), 0.0)


def _chrf(sums: Real) -> Real:
    """Columns: for every order n-grams of the system, n-grams of the references, matches."""
    system, expected, matches = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    there = (system > 0) & (expected > 0)
    orders = np.maximum(there.sum(axis=1), 1)
    precision = (_over(matches, system) * there).sum(axis=1) / orders
    recall = (_over(matches, expected) * there).sum(axis=1) / orders
    return 100 * _over((1 + BETA_SQUARED) * precision * recall, BETA_SQUARED * precision + recall)


def _rate(sums: Real) -> Real:
    """Columns: edits, reference units. Edits against nothing are 100 %, as in sacrebleu."""
    edits, units = sums[:, 0], sums[:, 1]
    return 100 * np.where(units > 0, _over(edits, units), (edits > 0).astype(np.float64))
