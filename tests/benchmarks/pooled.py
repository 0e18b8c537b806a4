"""The paired difference over several pairs of systems that translated the same utterances, taken together."""

from collections.abc import Sequence

from paredown.quality.corpus import CorpusScorer
from paredown.quality.paired import Difference
from paredown.quality.resampling import RESAMPLES, drawn, percentile_interval, weighted_sums
from paredown.quality.sums import scores

Texts = Sequence[str]


def pooled_difference(metric: str, pairs: Sequence[tuple[Texts, Texts]], references: Texts, seed: int = 0) -> Difference:
    """How much better the first of each pair is than the second, all pairs one corpus.

    Utterances are resampled, each with all its translations: those of one utterance are no independent samples.
    """
    scorer = CorpusScorer(metric, references)
    ours, theirs = (sum(scorer.statistics(pair[side]) for pair in pairs) for side in (0, 1))
    assert not isinstance(ours, int)
    assert not isinstance(theirs, int)  # there is a pair
    weights = drawn(len(references), seed, RESAMPLES)
    draws = scores(metric, weighted_sums(weights, ours)) - scores(metric, weighted_sums(weights, theirs))
    return Difference(metric, scorer.score(ours) - scorer.score(theirs), percentile_interval(draws), len(references))
