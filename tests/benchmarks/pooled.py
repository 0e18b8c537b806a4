"""The paired difference over several pairs of systems that translated the same utterances, taken together."""

from collections.abc import Sequence

from paredown.quality.corpus import CorpusScorer, percentile_interval, resample
from paredown.quality.paired import Difference

Texts = Sequence[str]


def pooled_difference(metric: str, pairs: Sequence[tuple[Texts, Texts]], references: Texts, seed: int = 0) -> Difference:
    """How much better the first of each pair is than the second, all pairs one corpus.

    Utterances are resampled, each with all its translations: those of one utterance are no independent samples.
    """
    scorer = CorpusScorer(metric, references)
    ours, theirs = (sum(scorer.statistics(pair[side]) for pair in pairs) for side in (0, 1))
    assert not isinstance(ours, int)
    assert not isinstance(theirs, int)  # there is a pair
    draws = [scorer.score(ours[pick]) - scorer.score(theirs[pick]) for pick in resample(len(references), seed)]
    return Difference(metric, scorer.score(ours) - scorer.score(theirs), percentile_interval(draws), len(references))
