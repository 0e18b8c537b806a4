"""Non-inferiority: is what a system loses against another one below a margin that was fixed beforehand, with 95 % confidence?

A test of difference that finds nothing rewards small tests; this one is only passed by a test set large enough to see the margin (errata,
"Judging no loss"). The bound is a bootstrap-t one: pairs of utterances are drawn with replacement, and the loss of every drawn corpus,
minus the observed loss, is divided by that corpus's own standard error (Efron and Tibshirani 1993, ch. 12.5). The plain percentile bound
is too optimistic where few utterances carry the loss, as they do when a damaged model repeats itself now and then: with 15 such outputs
in 1,000 it passes a loss equal to the margin in 7 % of tests, this one in 4 % (`tests/benchmarks/bench_judgement.py`).

No resampling knows of failures that none of the utterances shows, and on a few equal outputs it would find no loss for certain. So the
bound also leaves room for one kind of failure that was not seen: with 95 % confidence it strikes at most 1 - 0.05^(1/n) of all utterances
(about 3 / n), and where it strikes the answer is worth nothing. Of 1,000 utterances that is 0.15 chrF for a model of 50, and 0.24 % WER
for one of 20 %: the least margins that so many can confirm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paredown.quality.influence import influences
from paredown.quality.metrics import margin_of, sign
from paredown.quality.pairs import Pairs
from paredown.quality.resampling import DRAWS, drawn

CONFIDENCE = 0.95
LEAST_ERROR = 0.25
"""Share of the observed standard error below which no drawn one falls: a corpus that drew none of a few changed utterances has none.

With one changed utterance the bound is then 5 times its loss, where the Poisson bound on a count of 1 is 4.7.
"""


@dataclass(frozen=True)
class NonInferiority:
    """Whether a candidate loses less than `margin` against another system; all but `relative_loss` in points of the metric.

    `loss`: above 0 where the candidate is worse, whatever the metric's direction. `upper95`: its one-sided 95 % bound; passed where that
    lies below the margin. `smallest_visible`: bound minus loss, the half-width of the one-sided interval: the smallest margin that a
    candidate which loses nothing would have passed on these utterances. `relative_loss`: percent of the other system's score, None where
    that is 0.
    """

    metric: str
    margin: float
    loss: float
    upper95: float
    passed: bool
    utterances: int
    smallest_visible: float
    relative_loss: float | None


def non_inferiority(
    metric: str,
    candidate: Sequence[str],
    reference_system: Sequence[str],
    references: Sequence[str],
    margin: float | None = None,
    seed: int = 0,
    tokenizer: str = "13a",
) -> NonInferiority:
    """The test on three lists of lines, [utterances] each.

    `margin` None takes the metric's own: 1.0 BLEU or chrF, 0.3 % WER. Raises ValueError where the metric is unknown or has no margin, a
    margin is not above zero, or the lengths differ.
    """
    margin = margin_of(metric, margin)
    return judge(Pairs.of(metric, candidate, reference_system, references, tokenizer), margin, seed)


def judge(pairs: Pairs, margin: float | None = None, seed: int = 0, draws: int = DRAWS) -> NonInferiority:
    """The test on statistics that were taken before."""
    margin = margin_of(pairs.metric, margin)
    loss, upper95 = loss_of(pairs), upper_bound(pairs, seed, draws)
    score = abs(pairs.values[1])
    relative = 100 * loss / score if score else None
    return NonInferiority(pairs.metric, margin, loss, upper95, upper95 < margin, len(pairs), upper95 - loss, relative)


def loss_of(pairs: Pairs) -> float:
    """Points by which the candidate is worse; below 0 where it is better."""
    return -sign(pairs.metric) * pairs.effect + 0.0  # no loss is 0.0, not -0.0


def upper_bound(pairs: Pairs, seed: int = 0, draws: int = DRAWS) -> float:
    """The one-sided 95 % bound of the loss, in points: what the loss does not exceed, with that confidence."""
    worse, utterances = -sign(pairs.metric), len(pairs)
    loss, influence = loss_of(pairs), worse * influences(pairs)
    least = loss + unseen_loss(pairs)
    error = float(np.sqrt(np.mean(influence**2) / utterances))
    if error == 0.0:
        return least
    weights = drawn(utterances, seed, draws)
    first, second = (weights @ np.stack([influence, influence**2], axis=1).astype(np.float32)).T.astype(np.float64) / utterances
    errors = np.sqrt(np.maximum(second - first**2, 0) / utterances)
    distances = (worse * pairs.drawn_effects(weights) - loss) / np.maximum(errors, LEAST_ERROR * error)
    return max(least, loss - float(np.quantile(distances, 1 - CONFIDENCE)) * error)


def unseen_loss(pairs: Pairs) -> float:
    """Points that failures may cost which none of these utterances shows, with 95 % confidence.

    Each costs all that an answer is worth: the other system's score, or what it is below 100 % of errors. (One that repeats itself costs
    more, which no number of utterances bounds.)
    """
    share = 1.0 - float((1.0 - CONFIDENCE) ** (1.0 / len(pairs)))
    score = pairs.values[1]
    return share * (score if sign(pairs.metric) > 0 else max(0.0, 100 - score))
