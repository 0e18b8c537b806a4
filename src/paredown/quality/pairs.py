"""Two systems on the same utterances, as statistics that can be summed: what every paired figure starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paredown.quality.corpus import CorpusScorer, Counts
from paredown.quality.resampling import Weights, weighted_sums
from paredown.quality.sums import scores

Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Statistics of a candidate and of the system it is compared with, [utterances, statistics] each, in one metric."""

    metric: str
    candidate: Counts
    reference: Counts

    @classmethod
    def of(
        cls, metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], tokenizer: str = "13a"
    ) -> Self:
        """Of three lists of lines, [utterances] each. Raises ValueError where the metric is unknown or the lengths differ."""
        scorer = CorpusScorer(metric, references, tokenizer)
        if not len(candidate) == len(reference_system) == len(references) > 0:
            raise ValueError(f"lengths must be equal and above 0, got {len(candidate)}, {len(reference_system)} and {len(references)}")
        return cls(metric, scorer.statistics(candidate), scorer.statistics(reference_system))

    def __len__(self) -> int:
        return len(self.candidate)

    @property
    def values(self) -> tuple[float, float]:
        """Corpus scores of the candidate and of the other system."""
        candidate, reference = scores(self.metric, np.stack([self.candidate.sum(axis=0), self.reference.sum(axis=0)]))
        return float(candidate), float(reference)

    @property
    def effect(self) -> float:
        """Score of the candidate minus score of the other system, in points of the metric."""
        candidate, reference = self.values
        return candidate - reference

    def drawn_effects(self, weights: Weights) -> Real:
        """The effect in every corpus drawn, [draws], where utterance `u` counts `weights[draw, u]` times."""
        statistics = np.concatenate([self.candidate, self.reference], axis=1)
        candidate, reference = np.split(weighted_sums(weights, statistics), 2, axis=1)
        return scores(self.metric, candidate) - scores(self.metric, reference)

    def swapped_effects(self, signs: Weights) -> Real:
        """The effect where the outputs of utterance `u` change places if `signs[draw, u]` is -1, [draws]."""
        both = (self.candidate + self.reference).sum(axis=0)
        apart = weighted_sums(signs, self.candidate - self.reference)
        return scores(self.metric, (both + apart) / 2) - scores(self.metric, (both - apart) / 2)
