"""Do two systems differ? The papers' tests: paired bootstrap, paired approximate randomization, and MAPSSWE for word errors.

- paired bootstrap (Koehn, EMNLP 2004): pairs of utterances are drawn with replacement; p is twice the share of draws on the other
  side of 0.
- paired approximate randomization (Noreen 1989; Riezler and Maxwell 2005): outputs of both systems change places by a fair coin for each
  utterance; p is the share of these where the effect is as large as observed.
- MAPSSWE (`mapsswe.py`).

Every p is two-sided, and counts the observed corpus among the draws, so that none is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from paredown.quality.mapsswe import matched_pairs
from paredown.quality.pairs import Pairs
from paredown.quality.resampling import DRAWS, coins, drawn, percentile_interval

ALPHA = 0.05
BOOTSTRAP, RANDOMIZATION, MAPSSWE = "paired bootstrap", "paired approximate randomization", "MAPSSWE"
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Significance:
    """One test of the difference between a candidate and another system.

    `effect`: score of the candidate minus score of the other, in points of the metric (percent of reference words for WER), with its
    interval. `smallest_visible`: an effect of this size or less is not significant on these utterances; for the bootstrap half the width
    of the interval, for randomization the 95th percentile of the effects of swapped outputs, for MAPSSWE 1.96 standard errors.
    """

    test: str
    metric: str
    effect: float
    ci95: tuple[float, float]
    p_value: float
    utterances: int
    smallest_visible: float

    @property
    def significant(self) -> bool:
        """Whether the systems differ, at alpha = 0.05."""
        return self.p_value < ALPHA

    @property
    def dagger(self) -> bool:
        """The papers' mark: no significant difference was found."""
        return not self.significant


def paired_bootstrap(
    metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], seed: int = 0, tokenizer: str = "13a"
) -> Significance:
    """Three lists of lines, [utterances] each. Raises ValueError on an unknown metric or where the lengths differ."""
    return bootstrap_pairs(Pairs.of(metric, candidate, reference_system, references, tokenizer), seed)


def approximate_randomization(
    metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], seed: int = 0, tokenizer: str = "13a"
) -> Significance:
    """Three lists of lines, [utterances] each; the interval is the bootstrap's. Raises ValueError as `paired_bootstrap` does."""
    return randomize_pairs(Pairs.of(metric, candidate, reference_system, references, tokenizer), seed)


def mapsswe(candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str]) -> Significance:
    """Three lists of lines, [utterances] each; errors are those of sclite's alignment. Raises ValueError where the lengths differ.

    Where every segment has the same difference there is no deviation to divide by: sc_stats calls that no difference, whatever it is
    (`mapsswe.py` does too); here it is a sign test, in which all segments agree.
    """
    found = matched_pairs(candidate, reference_system, references)
    points = 100 * found.segments / found.reference_words if found.reference_words else 0.0  # of WER, for an error per segment
    error = points * found.standard_deviation / sqrt(max(found.segments, 1))
    effect, half, p_value = points * found.mean, _NORMAL_95 * error, found.p_value
    if found.mean and not found.standard_deviation:
        p_value = 0.5 ** (found.segments - 1)
        half = abs(effect) if p_value >= ALPHA else 0.0
    return Significance(MAPSSWE, "wer", effect, (effect - half, effect + half), p_value, len(references), half)


def dagger(
    metric: str, candidate: Sequence[str], reference_system: Sequence[str], references: Sequence[str], seed: int = 0, tokenizer: str = "13a"
) -> Significance:
    """The papers' test of the metric, whose `dagger` says "no significant difference": MAPSSWE for WER, paired bootstrap for all others."""
    if metric == "wer":
        return mapsswe(candidate, reference_system, references)
    return paired_bootstrap(metric, candidate, reference_system, references, seed, tokenizer)


def bootstrap_pairs(pairs: Pairs, seed: int = 0, draws: int = DRAWS) -> Significance:
    """The paired bootstrap on statistics that were taken before."""
    effects = pairs.drawn_effects(drawn(len(pairs), seed, draws))
    beyond = min(int((effects <= 0).sum()), int((effects >= 0).sum()))
    low, high = percentile_interval(effects)
    p_value = min(1.0, 2 * (beyond + 1) / (draws + 1))
    return Significance(BOOTSTRAP, pairs.metric, pairs.effect, (low, high), p_value, len(pairs), (high - low) / 2)


def randomize_pairs(pairs: Pairs, seed: int = 0, draws: int = DRAWS) -> Significance:
    """Approximate randomization on statistics that were taken before."""
    p_value, visible = randomized(pairs, seed, draws)
    interval = percentile_interval(pairs.drawn_effects(drawn(len(pairs), seed, draws)))
    return Significance(RANDOMIZATION, pairs.metric, pairs.effect, interval, p_value, len(pairs), visible)


def randomized(pairs: Pairs, seed: int = 0, draws: int = DRAWS) -> tuple[float, float]:
    """The p-value of randomization, and the size below which an effect is not significant."""
    sizes = np.abs(pairs.swapped_effects(coins(len(pairs), seed, draws)))
    slack = 1e-9  # an exchange that changes nothing must count as equal, whatever the order of its sums
    p_value = (int((sizes >= abs(pairs.effect) - slack).sum()) + 1) / (draws + 1)
    return p_value, float(np.quantile(sizes, 1 - ALPHA))
