"""Corpus scores of hypotheses against one reference each."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import jiwer
import numpy as np

from paredown.quality.corpus import CorpusScorer, percentile_interval, resample

METRICS = ("bleu", "chrf", "chrf++", "wer")


@dataclass(frozen=True)
class Score:
    """A corpus score. BLEU, chrF and chrF++ in [0, 100], higher is better; WER in percent of the reference words, lower is better.

    `ci95` is a bootstrap interval over utterances (None where it was not asked for).
    """

    metric: str
    value: float
    ci95: tuple[float, float] | None
    utterances: int
    signature: str


def score(metric: str, hypotheses: Sequence[str], references: Sequence[str], *, interval: bool = False, seed: int = 0) -> Score:
    """The corpus score of `hypotheses` [utterances] against `references` [utterances], one reference for each.

    Raises ValueError if the metric is unknown, the lengths differ or there is no utterance.
    """
    if metric not in METRICS:
        raise ValueError(f"a metric is one of {', '.join(METRICS)}; got {metric!r}")
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(f"scoring needs one reference for each of one or more hypotheses, got {len(hypotheses)} and {len(references)}")
    if metric == "wer":
        return _word_error_rate(hypotheses, references, interval=interval, seed=seed)
    scorer = CorpusScorer(metric, references)
    statistics = scorer.statistics(hypotheses)
    ci95 = None
    if interval:
        ci95 = percentile_interval([scorer.score(statistics[pick]) for pick in resample(len(hypotheses), seed)])
    return Score(metric, scorer.score(statistics), ci95, len(hypotheses), scorer.signature)


def _word_error_rate(hypotheses: Sequence[str], references: Sequence[str], *, interval: bool, seed: int) -> Score:
    """Edits over reference words of the whole corpus, in percent, by jiwer; words are what white space separates."""
    results = [jiwer.process_words(reference, hypothesis) for reference, hypothesis in zip(references, hypotheses, strict=True)]
    edits = np.array([result.substitutions + result.deletions + result.insertions for result in results], float)
    words = np.array([result.hits + result.substitutions + result.deletions for result in results], float)
    ci95 = None
    if interval:
        picks = resample(len(edits), seed)
        ci95 = percentile_interval(100 * edits[picks].sum(axis=1) / words[picks].sum(axis=1))
    return Score(
        "wer",
        float(100 * edits.sum() / words.sum()),
        ci95,
        len(hypotheses),
        f"jiwer|version:{version('jiwer')}",
    )
