"""Corpus scores of hypotheses against one reference each.

sacrebleu takes references as a list of *streams* (one list for each alternative reference), not as a list of utterances: handed over
the other way round it scores the first utterance alone, with every reference as an alternative, and reports 56 for a model of 26 BLEU
(`errata.md`, on the first paper). `score` is the only place that calls it, and a test pins the orientation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import jiwer
import numpy as np
from sacrebleu.metrics import BLEU, CHRF

METRICS = ("bleu", "chrf", "chrf++", "wer")
RESAMPLES = 1000


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
    scorer = {"bleu": BLEU, "chrf": CHRF, "chrf++": CHRF}[metric](**({"word_order": 2} if metric == "chrf++" else {}))
    streams = [list(references)]  # one stream of references, as long as the hypotheses: see above
    result = scorer.corpus_score(list(hypotheses), streams)
    ci95 = None
    if interval:
        draws = _resampled(scorer, hypotheses, streams, seed)
        ci95 = (float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5)))
    return Score(metric, float(result.score), ci95, len(hypotheses), str(scorer.get_signature()))


def _resampled(scorer: BLEU | CHRF, hypotheses: Sequence[str], streams: Sequence[Sequence[str]], seed: int) -> list[float]:
    """Corpus scores of `RESAMPLES` samples of utterances, drawn with replacement, from sacrebleu's own statistics of each utterance."""
    statistics = np.asarray(scorer._extract_corpus_statistics(list(hypotheses), streams))
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(hypotheses), (RESAMPLES, len(hypotheses)))
    sums = (statistics[pick].sum(axis=0) for pick in picks)
    return [float(scorer._compute_score_from_stats([int(value) for value in total]).score) for total in sums]


def _word_error_rate(hypotheses: Sequence[str], references: Sequence[str], *, interval: bool, seed: int) -> Score:
    """Edits over reference words of the whole corpus, in percent, by jiwer; words are what white space separates."""
    results = [jiwer.process_words(reference, hypothesis) for reference, hypothesis in zip(references, hypotheses, strict=True)]
    edits = np.array([result.substitutions + result.deletions + result.insertions for result in results], float)
    words = np.array([result.hits + result.substitutions + result.deletions for result in results], float)
    ci95 = None
    if interval:
        picks = np.random.default_rng(seed).integers(0, len(edits), (RESAMPLES, len(edits)))
        draws = 100 * edits[picks].sum(axis=1) / words[picks].sum(axis=1)
        ci95 = (float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5)))
    return Score(
        "wer",
        float(100 * edits.sum() / words.sum()),
        ci95,
        len(hypotheses),
        f"jiwer|version:{version('jiwer')}",
    )
