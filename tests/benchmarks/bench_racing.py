"""Racing on recorded configurations of the bundled model: how many of the true front it loses, how much decoding it saves.

    python -m tests.benchmarks.bench_racing [--count N] [--folder DIR]

A study's first candidates and what a search meets (see `race_recordings.py`) are decoded once on the whole search split, some seconds
each on two cores; the race is then replayed in random orders, the first candidates at the head as in a study: alone, and behind the stage
that comes before it in a study, the teacher-forced loss. The true front comes from scores on the whole split. Costs are bytes on disk and
multiply-accumulates, known exactly before anything is decoded; what is saved is time of decoding on one core, as it was recorded, less
what finding the loss took of everybody.
A front without a quality budget, and those of two budgets. The rules were made on other draws: see SEED.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paredown.quality.sums import scores
from paredown.search.front import non_dominated
from paredown.search.racing import RULE, Cost, Rule, Subsets, costs_no_more
from paredown.trials.forced_loss import find_better
from paredown.trials.race_judge import Lines, RaceJudge
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.race_recordings import Recorder, Recording

METRIC = "chrf"
SEED, COUNT, ORDERS = 20261122, 100, 20  # seeds 7 and 20261121 served to make the rule
DRAWS = {"uniform over the knobs": False, "half of them near what changes least": True}
BUDGETS = (None, -10.0, -1.0)  # none, the reference point of the benchmark of searches, the quickstart's
LOST_PERCENT, SAVED_PERCENT = 2.0, 60.0


@dataclass(frozen=True)
class Replay:
    """One race, by configuration: on how many subsets it was decoded (0: its loss ended it), why it stopped ("" where it did not), what
    share of its decoding time that saved, below 0 where finding its loss was in vain; and which members of the true front were stopped.
    """

    looks: tuple[int, ...]
    reasons: tuple[str, ...]
    saved: tuple[float, ...]
    lost: tuple[int, ...]


class Recorded:
    """Recordings, the scores on the whole split and the front of those that keep the budget.

    `least`: the quality budget, points of difference to the uncompressed model (the first recording), None for none.
    """

    def __init__(self, recordings: Sequence[Recording], lines: Lines, lengths: Sequence[float], least: float | None = None) -> None:
        self.recordings, self.lengths, self.lines, self.least = recordings, lengths, lines, least
        everything = [lines.counts(each.texts, range(len(lines))).sum(axis=0) for each in recordings]
        self.scores = scores(METRIC, np.array(everything)).tolist()
        points = [(-score, each.macs, each.size_bytes) for score, each in zip(self.scores, recordings, strict=True)]
        feasible = np.array(self.scores) - self.scores[0] >= (-np.inf if least is None else least)
        self.front = set(np.flatnonzero(non_dominated(np.array(points)) & feasible).tolist())
        self.costs = [(Cost("macs", each.macs), Cost("size_bytes", each.size_bytes)) for each in recordings]

    def replay(self, seed: int, forced: bool, rule: Rule = RULE, subsets: Subsets | None = None) -> Replay:
        """The race in a random order on subsets of its own, the first candidates at its head, the uncompressed model first.

        `forced`: behind the stage of the teacher-forced loss.
        """
        subsets = subsets or Subsets.of(self.lengths, seed)
        given = [index for index, each in enumerate(self.recordings) if each.given]
        drawn = [index for index, each in enumerate(self.recordings) if not each.given]
        order = given + [int(index) for index in np.random.default_rng(seed).permutation(drawn)]
        judge = RaceJudge(self.lines, self.recordings[order[0]].texts, subsets, rule=rule)
        looks, reasons = [len(subsets)] * len(order), [""] * len(order)
        entered: list[int] = []
        for place, index in enumerate(order):
            if place and forced:
                looks[index], reasons[index] = self._force(entered, len(subsets), index)
            if place and not reasons[index]:
                looks[index], reasons[index] = self._run(judge, subsets, index)
            if not reasons[index]:
                judge.add(index, self.costs[index], self.recordings[index].texts)
                entered.append(index)
        spent = [
            sum(each.seconds[item] for item in (subsets.known(look - 1) if look else ())) + forced * each.loss_seconds
            for each, look in zip(self.recordings, looks, strict=True)
        ]
        saved = tuple(1 - part / sum(each.seconds) for part, each in zip(spent, self.recordings, strict=True))
        return Replay(tuple(looks), tuple(reasons), saved, tuple(index for index in sorted(self.front) if reasons[index]))

    def _force(self, entered: Sequence[int], looks: int, index: int) -> tuple[int, str]:
        """As a study does it: against trials decoded in full that cost no more."""
        cheaper = [other for other in entered if costs_no_more(self.costs[other], self.costs[index])]
        found = find_better(self.recordings[index].losses, {other: self.recordings[other].losses for other in cheaper})
        return (looks, "") if found is None else (0, f"dominated by trial {found[0]} in loss, at least {found[1].least:.2f} nats a token")

    def _run(self, judge: RaceJudge, subsets: Subsets, index: int) -> tuple[int, str]:
        floors = [] if self.least is None else [(f"quality >= {self.least:g}", self.least)]
        for look in range(len(subsets) - 1):
            texts = [self.recordings[index].texts[item] for item in subsets.known(look)]
            verdict = judge.judge(look, self.costs[index], texts, floors)
            if verdict.stop:
                return look + 1, verdict.reason
        return len(subsets), ""


def print_replays(recorded: Recorded, replays: Sequence[Replay], sizes: Sequence[int]) -> None:
    """What was lost and saved, and where."""
    seconds = np.array([sum(each.seconds) for each in recorded.recordings])
    looks = np.array([each.looks for each in replays])
    stopped = np.array([[bool(reason) for reason in each.reasons] for each in replays])
    spared = seconds * np.array([each.saved for each in replays])
    print(f"  {'utterances':>10s}{'stopped there':>16s}{'saved by that':>16s}")
    for look, size in enumerate(("loss", *sizes)):
        at = stopped & (looks == look)
        if at.any():
            print(f"  {size!s:>10s}{at.sum(axis=1).mean():16.1f}{100 * (spared * at).sum(axis=1).mean() / seconds.sum():14.1f} %")
    inside = 100 * (spared * ~stopped).sum(axis=1).mean() / seconds.sum()
    print(f"  {sizes[-1]:10d}{(~stopped).sum(axis=1).mean():16.1f}{inside:14.1f} %  (decoded in full)")
    for index in sorted({index for each in replays for index in each.lost}):
        times = sum(index in each.lost for each in replays)
        reason = next(each.reasons[index] for each in replays if index in each.lost)
        print(f"  lost in {times} of {len(replays)} orders: configuration {index}, chrF {recorded.scores[index]:.2f}; {reason}")


def race(recordings: Sequence[Recording], lines: Lines, lengths: Sequence[float], least: float | None) -> list[Bar]:
    """Replays of one quality budget, and how they compare with the bars."""
    recorded, bars = Recorded(recordings, lines, lengths, least), []
    budget = "no budget" if least is None else f"at most {-least:g} chrF lost"
    seconds = np.array([sum(each.seconds) for each in recordings])
    beside = np.array([index not in recorded.front for index in range(len(seconds))])
    print(f"\n{budget}: {len(recorded.front)} of {len(seconds)} on the true front; {ORDERS} orders, each with its own subsets")
    print(f"  who knew it beforehand and decoded nothing else would save {100 * float(seconds[beside].sum() / seconds.sum()):.1f} %")
    for name, forced in (("loss and race", True), ("race alone", False)):
        replays = [recorded.replay(order, forced) for order in range(ORDERS)]
        print(f" {name}")
        print_replays(recorded, replays, Subsets.of(lengths, 0).sizes)
        lost = 100 * sum(len(each.lost) for each in replays) / (len(replays) * len(recorded.front))
        saved = 100 * float(np.mean([np.dot(each.saved, seconds) for each in replays]) / seconds.sum())
        bars += [
            Bar(f"{name}, {budget}: true front members stopped early", lost, LOST_PERCENT, at_least=False, unit="%"),
            Bar(f"{name}, {budget}: decoding saved, of its time on one core", saved, SAVED_PERCENT, unit="%"),
        ]
    return bars


def main() -> None:
    """Record what is missing, replay, print the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="configurations, the first candidates among them")
    parser.add_argument("--seed", type=int, default=SEED, help="of the draw")
    parser.add_argument("--folder", type=Path, default=Path("build/bench_racing"), help="where recordings stay")
    options, _ = parser.parse_known_args()
    recorder = Recorder(options.folder)
    lengths = [float(each.audio.stat().st_size) for each in recorder.split.utterances]
    lines = Lines(METRIC, recorder.references)
    for name, near_half in DRAWS.items():
        recordings = recorder.record(options.count, options.seed, near_half)
        print(f"\n{name}")
        bars = [bar for least in BUDGETS for bar in race(recordings, lines, lengths, least)]
        print_bars(f"racing, {len(recordings)} configurations, {name}", bars)


if __name__ == "__main__":
    main()
