"""Corpus scores of hypotheses against one reference each."""

from collections.abc import Sequence
from dataclasses import dataclass

from paredown.quality.corpus import CorpusScorer
from paredown.quality.metrics import check_metric
from paredown.quality.resampling import RESAMPLES, drawn, percentile_interval, weighted_sums
from paredown.quality.sums import scores


@dataclass(frozen=True)
class Score:
    """A corpus score. BLEU, chrF and chrF++ in [0, 100], higher is better; TER, WER, CER in percent of the reference, lower is better.

    TER counts edits and shifts of words, WER edits of words, CER of characters. `ci95` is a bootstrap interval over utterances (None where
    it was not asked for).
    """

    metric: str
    value: float
    ci95: tuple[float, float] | None
    utterances: int
    signature: str


def score(
    metric: str, hypotheses: Sequence[str], references: Sequence[str], *, interval: bool = False, seed: int = 0, tokenizer: str = "13a"
) -> Score:
    """The corpus score of `hypotheses` [utterances] against `references` [utterances], one reference for each.

    `tokenizer`: see `CorpusScorer`. Raises ValueError if the metric is unknown, the lengths differ, there is no utterance or the
    tokenizer cannot be used.
    """
    check_metric(metric)
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(f"scoring needs one reference for each of one or more hypotheses, got {len(hypotheses)} and {len(references)}")
    scorer = CorpusScorer(metric, references, tokenizer)
    statistics = scorer.statistics(hypotheses)
    ci95 = None
    if interval:
        ci95 = percentile_interval(scores(metric, weighted_sums(drawn(len(hypotheses), seed, RESAMPLES), statistics)))
    return Score(metric, scorer.score(statistics), ci95, len(hypotheses), scorer.signature)
