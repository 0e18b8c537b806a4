"""Racing: who of the candidates is worth decoding on more utterances, told from growing, fixed subsets of the search split.

After each subset a candidate stops where a paired interval says that it cannot matter any more: some trial that costs no more is better,
or the loss to the uncompressed model is beyond a quality budget. The last subset is the whole split: who gets there is scored in full.

From Hoeffding races (Maron and Moore, 1994) comes the idea: whoever's interval lies below that of another one leaves, and the rest goes on.
From F-race (Birattari et al., 2002) comes that all run on the same instances, so that what is hard for everybody cancels in the difference.
Their bounds are replaced. Hoeffding's knows only the range of a score and would keep everybody for some hundred utterances; F-race's ranks
count wins where a corpus score counts points. Here it is a difference of corpus scores with its own standard error and Student's t. And the
split is all there is: on `n` of its `N` utterances the error shrinks with sqrt(1 - n / N), for what decides is the score on the `N`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import t as student_t

FIRST = 16
"""Utterances of the first subset: fewer, and an interval that needs their spread cannot be trusted."""
GROWTH = 2.0
"""From a subset to the next, about: with more looks there are more chances to be wrong."""


@dataclass(frozen=True)
class Subsets:
    """Nested subsets of a split. `order`: indices of all utterances; the first `sizes[k]` of them are subset `k`, the last one is all."""

    order: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, lengths: Sequence[float], seed: int, first: int = FIRST, growth: float = GROWTH) -> "Subsets":
        """Subsets of utterances of these lengths (seconds, bytes; any measure of what decoding costs), from the lengths and the seed alone.

        Each is spread evenly over the lengths, and they grow geometrically from about `first` by about `growth`. Raises ValueError where
        there is no utterance, `first` is below 2 or `growth` is not above 1.
        """
        if not len(lengths) or first < 2 or not growth > 1:
            raise ValueError(f"subsets need an utterance, 2 in the first and growth above 1, got {len(lengths)}, {first} and {growth}")
        ranked = np.argsort(np.asarray(lengths, dtype=np.float64), kind="stable")
        order = _spread(ranked.tolist(), np.random.default_rng(seed))
        return cls(tuple(order), _grown(len(order), first, growth))

    def __len__(self) -> int:
        return len(self.sizes)

    def known(self, look: int) -> tuple[int, ...]:
        """Indices of subset `look`, in the order of the race."""
        return self.order[: self.sizes[look]]

    def fresh(self, look: int) -> tuple[int, ...]:
        """Indices that subset `look` adds to the one before."""
        return self.order[self.sizes[look - 1] if look else 0 : self.sizes[look]]


def _grown(utterances: int, first: int, growth: float) -> tuple[int, ...]:
    """From `first` to all in equal ratios; one subset where all are hardly more than the first."""
    if utterances <= first:
        return (utterances,)
    steps = max(1, round(np.log(utterances / first) / np.log(growth)))
    return tuple(round(first * (utterances / first) ** (step / steps)) for step in range(steps + 1))


def _spread(ranked: list[int], rng: np.random.Generator) -> list[int]:
    """An order whose beginnings are spread evenly over the ranks: it takes turns between the halves, and so on within each of them.

    The halves differ by one at most; chance says which comes first (a nested scrambled net, Owen 1995, in one dimension).
    """
    if len(ranked) < 2:
        return ranked
    cut = (len(ranked) + int(rng.integers(2))) // 2
    halves = [_spread(ranked[:cut], rng), _spread(ranked[cut:], rng)]
    if len(halves[0]) == len(halves[1]):
        halves = halves if rng.integers(2) else halves[::-1]
    else:
        halves.sort(key=len, reverse=True)
    order = [index for pair in zip(*halves, strict=False) for index in pair]
    return order + halves[0][len(halves[1]) :]


@dataclass(frozen=True)
class Gap:
    """The candidate's score minus another one's, on the same utterances, in points, above 0 where the candidate is better.

    `standard_error`: of the difference as if these utterances were drawn from endless ones; infinite where it cannot be told.
    `utterances`: on how many it is known, of `of`.
    `slopes`: how many were fitted to what other trials do on these utterances, to take out of the difference what they explain.
    """

    points: float
    standard_error: float
    utterances: int
    of: int
    slopes: int = 0

    def __post_init__(self) -> None:
        if not 2 + self.slopes <= self.utterances <= self.of:
            raise ValueError(f"a gap is known on {2 + self.slopes} to all {self.of} utterances, got {self.utterances}")
        if not (np.isfinite(self.points) and self.standard_error >= 0):
            raise ValueError(f"a gap needs finite points and an error of at least 0, got {self.points} and {self.standard_error}")

    @property
    def error(self) -> float:
        """Standard error as an estimate of the gap on all `of` utterances: 0 where they are all known."""
        return self.standard_error * float(np.sqrt(1 - self.utterances / self.of))

    def upper(self, confidence: float) -> float:
        """The gap on all utterances is at most this, with this one-sided confidence."""
        return self.points + _quantile(confidence, self.utterances - 1 - self.slopes) * self.error


@dataclass(frozen=True)
class Cost:
    """Something to pay, lower is better. `tolerance`: by how much of itself it may be wrong, 0 where it is exact."""

    name: str
    value: float
    tolerance: float = 0.0


@dataclass(frozen=True)
class Rival:
    """A trial that was scored on the whole split; `gap`: of the candidate to it."""

    trial: int
    costs: tuple[Cost, ...]
    gap: Gap


@dataclass(frozen=True)
class Floor:
    """A quality budget. `gap`: of the candidate to the uncompressed model; `least`: the least gap that keeps the budget."""

    text: str
    gap: Gap
    least: float


@dataclass(frozen=True)
class Rule:
    """How sure a race must be. `confidence`: one-sided, of each interval; a race has four looks and some rivals, of which few are close.

    `hair`: points by which a rival may be worse and still end a candidate, 0 for none.
    """

    confidence: float = 0.99
    hair: float = 0.0

    def __post_init__(self) -> None:
        if not (0.5 < self.confidence < 1 and self.hair >= 0):
            raise ValueError(f"confidence must lie in (0.5, 1) and a hair be at least 0, got {self.confidence} and {self.hair}")


RULE = Rule()


@dataclass(frozen=True)
class Verdict:
    """Whether to stop, and why in one line ("" where the candidate goes on)."""

    stop: bool
    reason: str = ""


GO_ON = Verdict(False)


def judge(costs: Sequence[Cost], rivals: Sequence[Rival], floors: Sequence[Floor] = (), rule: Rule = RULE, unit: str = "points") -> Verdict:
    """Whether a candidate with these costs is still worth decoding.

    `rivals`: trials scored in full, those of the front or all. `unit`: of the gaps, for the reason. On the whole split nobody is stopped:
    there every error is 0 and the trial is complete. Raises ValueError where a rival's costs are not those of the candidate.
    """
    broken = [floor for floor in floors if _is_open(floor.gap) and floor.gap.upper(rule.confidence) < floor.least]
    if broken:
        worst = min(broken, key=lambda floor: floor.gap.upper(rule.confidence) - floor.least)
        return Verdict(True, f"breaks the budget {worst.text} on {_told(worst.gap, rule, unit)}")
    better = [each for each in rivals if costs_no_more(each.costs, costs) and _is_open(each.gap)]
    beaten = [rival for rival in better if rival.gap.upper(rule.confidence) < rule.hair]
    if beaten:
        clearest = min(beaten, key=lambda rival: (rival.gap.upper(rule.confidence), rival.trial))
        return Verdict(True, f"dominated by trial {clearest.trial} on {_told(clearest.gap, rule, unit)}")
    return GO_ON


def costs_no_more(rival: Sequence[Cost], candidate: Sequence[Cost]) -> bool:
    """Whether no cost of the rival is above the candidate's, by more than the larger tolerance of the two.

    A cost that is known to some percent cannot tell two trials apart that lie closer: the one that has the better quality wins.
    """
    if [cost.name for cost in rival] != [cost.name for cost in candidate]:
        raise ValueError(f"costs must be the same for all, got {[cost.name for cost in rival]} and {[cost.name for cost in candidate]}")
    pairs = zip(rival, candidate, strict=True)
    return all(theirs.value <= own.value * (1 + max(theirs.tolerance, own.tolerance)) for theirs, own in pairs)


def _is_open(gap: Gap) -> bool:
    return gap.utterances < gap.of


def _told(gap: Gap, rule: Rule, unit: str) -> str:
    return f"{gap.utterances} of {gap.of} utterances: {unit} {gap.points:+.1f}, at most {gap.upper(rule.confidence):+.1f}"


@lru_cache(maxsize=256)
def _quantile(confidence: float, freedom: int) -> float:
    """Of Student's t, which is wider than the normal where the spread itself is known from few."""
    return float(student_t.ppf(confidence, freedom))
