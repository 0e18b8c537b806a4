"""How often tests of two systems are wrong, on outputs whose truth is known.

- Null: outputs of two different systems change places by a fair coin for each utterance, so that neither system is better. A test at
  alpha = 0.05 should find a difference in 5 % of such trials.
- A true loss equal to the margin: the utterances at hand are taken for the whole population, in which the loss is known; a trial draws as
  many utterances from them, with replacement, and tests against a margin equal to that loss. At most 5 % should pass.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from paredown.quality.judgement import judge, loss_of
from paredown.quality.mapsswe import Segment, segments_of, tested
from paredown.quality.metrics import sign
from paredown.quality.pairs import Pairs
from paredown.quality.resampling import drawn
from paredown.quality.significance import ALPHA, bootstrap_pairs, randomized

Tests = dict[str, Callable[[Pairs, int], float]]
P_VALUES: Tests = {
    "paired bootstrap": lambda pairs, draws: bootstrap_pairs(pairs, draws=draws).p_value,
    "approximate randomization": lambda pairs, draws: randomized(pairs, draws=draws)[0],
}


def swapped(pairs: Pairs, heads: NDArray[np.bool_]) -> Pairs:
    """The systems with the outputs of the utterances where `heads` is true, [utterances], exchanged."""
    heads = heads[:, None]
    return Pairs(pairs.metric, np.where(heads, pairs.reference, pairs.candidate), np.where(heads, pairs.candidate, pairs.reference))


def false_alarms(pairs: Pairs, test: Callable[[Pairs, int], float], trials: int, draws: int, seed: int = 0) -> float:
    """Percent of null trials in which the test rejects."""
    generator = np.random.default_rng(seed)
    heads = generator.integers(0, 2, (trials, len(pairs))).astype(bool)
    return 100 * float(np.mean([test(swapped(pairs, row), draws) < ALPHA for row in heads]))


def false_alarms_of_mapsswe(first: Sequence[str], second: Sequence[str], references: Sequence[str], trials: int, seed: int = 0) -> float:
    """Percent of null trials in which MAPSSWE rejects. Exchanged outputs have the same segments, their errors exchanged."""
    generator = np.random.default_rng(seed)
    utterances, words = segments_of(first, second, references), sum(len(line.split()) for line in references)
    rejected = 0
    for _ in range(trials):
        heads = generator.integers(0, 2, len(utterances)).tolist()
        segments = [_exchanged(segment) if head else segment for head, row in zip(heads, utterances, strict=True) for segment in row]
        rejected += tested(segments, words).p_value < ALPHA
    return 100 * rejected / trials


def _exchanged(segment: Segment) -> Segment:
    return Segment(segment.words, segment.second, segment.first)


def percentile_bound(pairs: Pairs, draws: int) -> float:
    """The plain one-sided 95 % bound of the loss: the percentile of the resampled losses. For comparison; see `judgement.py`."""
    losses = -sign(pairs.metric) * pairs.drawn_effects(drawn(len(pairs), 0, draws))
    return float(np.quantile(losses, 0.95))


def bootstrap_t_bound(pairs: Pairs, draws: int) -> float:
    """The bound that non-inferiority takes."""
    return judge(pairs, draws=draws).upper95


def wrongly_passed(pairs: Pairs, bound: Callable[[Pairs, int], float], trials: int, draws: int, seed: int = 0) -> float:
    """Percent of trials in which non-inferiority passes although the true loss equals the margin.

    Raises ValueError where the candidate loses nothing: there is no such margin.
    """
    margin = loss_of(pairs)
    if not margin > 0:
        raise ValueError(f"the candidate must lose something, its loss is {margin:.3f}")
    picks = np.random.default_rng(seed).integers(0, len(pairs), (trials, len(pairs)))
    trial = (Pairs(pairs.metric, pairs.candidate[pick], pairs.reference[pick]) for pick in picks)
    return 100 * float(np.mean([bound(found, draws) < margin for found in trial]))
