"""The difference between two systems on the same utterances, with a paired bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from paredown.quality.pairs import Pairs
from paredown.quality.resampling import RESAMPLES, drawn, percentile_interval


@dataclass(frozen=True)
class Difference:
    """Score of the candidate minus score of the reference system, in points; `ci95` from resampled utterances, pairs kept together."""

    metric: str
    value: float
    ci95: tuple[float, float]
    utterances: int


def paired_difference(
    metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], seed: int = 0, tokenizer: str = "13a"
) -> Difference:
    """How much more (above 0) or less `candidate` scores than `reference_system`; three lines of texts, [utterances] each.

    More is better in BLEU and chrF, worse in TER, WER and CER. `tokenizer`: see `CorpusScorer`. Raises ValueError on an unknown metric
    or where the lengths differ.
    """
    pairs = Pairs.of(metric, candidate, reference_system, references, tokenizer)
    draws = pairs.drawn_effects(drawn(len(pairs), seed, RESAMPLES))
    return Difference(metric, pairs.effect, percentile_interval(draws), len(pairs))
