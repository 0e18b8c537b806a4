"""The difference between two systems on the same utterances, with a paired bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from paredown.quality.corpus import CorpusScorer, percentile_interval, resample


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
    scorer = CorpusScorer(metric, references)
    ours, theirs = scorer.statistics(candidate), scorer.statistics(reference_system)
    draws = [scorer.score(ours[pick]) - scorer.score(theirs[pick]) for pick in resample(len(references), seed)]
    return Difference(metric, scorer.score(ours) - scorer.score(theirs), percentile_interval(draws), len(references))
