"""Joins racing to what is decoded: gaps between a candidate and others, by the statistics of texts behind every paired figure."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from paredown.quality.corpus import CorpusScorer, Counts
from paredown.quality.influence import influences
from paredown.quality.metrics import sign, unit
from paredown.quality.pairs import Pairs
from paredown.quality.sums import scores
from paredown.search.front import non_dominated
from paredown.search.racing import RULE, Cost, Floor, Gap, Rival, Rule, Subsets, Verdict, costs_no_more, judge

Real = NDArray[np.float64]
UTTERANCES_PER_SLOPE, TRIALS_PER_SLOPE, MOST_SLOPES = 15, 4, 4  # a slope costs a degree of freedom, and must be worth it
LEAST_APART = 5  # utterances on which two systems differ: of fewer a slope explains all, and nothing is left to tell the error from
_KEPT_LINES = 100_000  # some 40 MB: 500 trials on 200 utterances, whose texts often agree


class Lines:
    """Statistics of single lines against their references, [statistics] each, taken once: of a subset those before it are part.

    `references`: lines of the whole split, in its order. Raises ValueError where the metric is unknown.
    """

    def __init__(self, metric: str, references: Sequence[str], tokenizer: str = "13a") -> None:
        self.metric = metric
        self._references, self._tokenizer = tuple(references), tokenizer
        self._counted = lru_cache(maxsize=_KEPT_LINES)(self._count)

    def __len__(self) -> int:
        return len(self._references)

    def counts(self, texts: Sequence[str], indices: Sequence[int]) -> Counts:
        """Of these texts, [texts, statistics], each against the reference of its index."""
        return np.stack([self._counted(text, index) for text, index in zip(texts, indices, strict=True)])

    def _count(self, text: str, index: int) -> Counts:
        counts: Counts = CorpusScorer(self.metric, [self._references[index]], self._tokenizer).statistics([text])[0]
        return counts


@dataclass(frozen=True, eq=False)
class _Finished:
    """A trial that was decoded on the whole split: its costs, its statistics [utterances, statistics], its score, above where it is better,
    and by how much each utterance moves its gap to the uncompressed model, [utterances], whose mean is 0.
    """

    trial: int
    costs: tuple[Cost, ...]
    statistics: Counts
    score: float
    moves: Real


class RaceJudge:
    """Judges candidates on the subsets of one split, against the uncompressed model and all trials that were decoded in full.

    `uncompressed`: texts of the uncompressed model on the whole split, in its order. May be asked from several threads.
    """

    def __init__(
        self,
        lines: Lines,
        uncompressed: Sequence[str],
        subsets: Subsets,
        rule: Rule = RULE,
    ) -> None:
        self.subsets = subsets
        self._lines, self._metric, self._rule = lines, lines.metric, rule
        self._uncompressed = lines.counts(uncompressed, range(len(lines)))
        self._finished: dict[int, _Finished] = {}
        self._lock = threading.Lock()

    def add(self, trial: int, costs: Sequence[Cost], texts: Sequence[str]) -> None:
        """A trial that was decoded in full, `texts` [utterances] in the order of the split: from now on a rival of all others."""
        statistics = self._lines.counts(texts, range(len(self._lines)))
        score = sign(self._metric) * _score(self._metric, statistics)
        moves = influences(Pairs(self._metric, statistics, self._uncompressed))
        with self._lock:
            self._finished[trial] = _Finished(trial, tuple(costs), statistics, score, moves)

    def reprice(self, trial: int, costs: Sequence[Cost]) -> None:
        """Other estimates of what a finished trial costs."""
        with self._lock:
            self._finished[trial] = replace(self._finished[trial], costs=tuple(costs))

    def judge(self, look: int, costs: Sequence[Cost], texts: Sequence[str], least: Sequence[tuple[str, float]] = ()) -> Verdict:
        """Whether the candidate stops after subset `look`.

        `texts`: of that subset, in the order of the race (`subsets.known(look)`). `least`: quality budgets, each as its words and the least
        difference to the uncompressed model on the whole split that keeps it, above 0 where the candidate must be better.
        """
        known = list(self.subsets.known(look))
        if len(known) == len(self._lines) or len(known) < 2:
            return Verdict(False)
        candidate = self._lines.counts(texts, known)
        front = [each for each in self._front() if costs_no_more(each.costs, costs)]
        own, gaps = self._gaps(candidate, front, known)
        floors = [Floor(text, own, limit) for text, limit in least]
        rivals = [Rival(each.trial, each.costs, gap) for each, gap in zip(front, gaps, strict=True)]
        return judge(costs, rivals, floors, self._rule, unit(self._metric))

    def score(self, trial: int) -> float:
        """What a finished trial scores on the whole split, in points; above another where it is better, whatever the metric's direction."""
        with self._lock:
            return self._finished[trial].score

    def least_gap(self, score: float) -> float:
        """The difference to the uncompressed model at which a candidate has this score on the whole split, above 0 if it must be better."""
        return sign(self._metric) * (score - _score(self._metric, self._uncompressed))

    def _front(self) -> list[_Finished]:
        """Finished trials that no other one dominates: whoever those beat, one of these beats too."""
        with self._lock:
            finished = list(self._finished.values())
        if not finished:
            return []
        points = np.array([[-each.score, *(cost.value for cost in each.costs)] for each in finished], dtype=np.float64)
        return [each for each, on in zip(finished, non_dominated(points).tolist(), strict=True) if on]

    def _gaps(self, candidate: Counts, rivals: Sequence[_Finished], known: list[int]) -> tuple[Gap, list[Gap]]:
        """Of the candidate to the uncompressed model and to each rival, each the surer one of two estimates of the same.

        What rivals score on the whole split is known: the candidate's score may be told from its gap to the uncompressed model too.
        """
        controls = self._controls(len(known) // UTTERANCES_PER_SLOPE)
        direct = self._gap(candidate, self._uncompressed, controls, known)
        found = []
        for rival in rivals:
            paired = self._gap(candidate, rival.statistics, controls, known)
            known_apart = rival.score - sign(self._metric) * _score(self._metric, self._uncompressed)
            found.append(min(paired, replace(direct, points=direct.points - known_apart), key=lambda gap: gap.standard_error))
        return direct, found

    def _gap(self, candidate: Counts, other: Counts, controls: Real, known: list[int]) -> Gap:
        """The paired difference, by regression on `controls` [utterances, slopes], whose means over the split are 0.

        Standard error by the infinitesimal jackknife, of a regression estimator (Cochran, Sampling Techniques, 1977, chapter 7).
        """
        pairs = Pairs(self._metric, candidate, other[known])
        moved, inside = influences(pairs), controls[known]
        count, slopes = inside.shape
        at = inside.mean(axis=0)
        inverse = np.linalg.pinv((inside - at).T @ (inside - at))
        slope = inverse @ (inside - at).T @ moved
        spread = float(((moved - (inside - at) @ slope) ** 2).sum()) / (count - 1 - slopes)
        error = np.sqrt(spread * (1 / count + float(at @ inverse @ at)))
        apart = int((candidate != other[known]).any(axis=1).sum())
        error = error if apart >= LEAST_APART else np.inf
        return Gap(sign(self._metric) * (pairs.effect - float(at @ slope)), float(error), count, len(self._lines), slopes)

    def _controls(self, most: int) -> Real:
        """The directions in which finished trials move utterances most, [utterances of the split, at most `most`], with means of 0.

        Trials that were damaged alike fail on the same utterances: where these are too many or too few in a subset, it is known.
        """
        with self._lock:
            moves = [each.moves for each in self._finished.values()]
        scaled = [move / move.std() for move in moves if move.std() > 0]
        most = min(most, MOST_SLOPES, len(scaled) // TRIALS_PER_SLOPE)
        if not most:
            return np.zeros((len(self._lines), 0))
        return np.asarray(np.linalg.svd(np.stack(scaled, axis=1), full_matrices=False)[0][:, :most])


def _score(metric: str, statistics: Counts) -> float:
    return float(scores(metric, statistics.sum(axis=0)[None])[0])
