"""Racing on recorded configurations of the bundled model: how many of the true front it loses, how much decoding it saves.

    python -m tests.benchmarks.bench_racing [--count N] [--folder DIR]

A study's first candidates and what a search meets (see `race_recordings.py`) are decoded once on the whole search split, some seconds
each on two cores; the race is then replayed in random orders, the first candidates at the head as in a study. The true front comes from
scores on the whole split. Costs are bytes on disk and multiply-accumulates, known exactly before anything is decoded; what is saved is time
of decoding on one core, as it was recorded.
A front without a quality budget, and those of two budgets. The rule's confidence was chosen on another draw: `--seed 7 --count 40`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paredown.quality.sums import scores
from paredown.search.front import non_dominated
from paredown.search.racing import RULE, Cost, Rule, Subsets
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
    """One race, by configuration: on how many subsets it was decoded, why it stopped ("" where it did not), what share of its decoding time
    that saved; and which members of the true front were stopped.
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

    def replay(self, seed: int, rule: Rule = RULE, subsets: Subsets | None = None) -> Replay:
        """The race in a random order on subsets of its own, the first candidates at its head, the uncompressed model first."""
        subsets = subsets or Subsets.of(self.lengths, seed)
        given = [index for index, each in enumerate(self.recordings) if each.given]
        drawn = [index for index, each in enumerate(self.recordings) if not each.given]
        order = given + [int(index) for index in np.random.default_rng(seed).permutation(drawn)]
        judge = RaceJudge(self.lines, self.recordings[order[0]].texts, subsets, rule=rule)
        looks, reasons = [len(subsets)] * len(order), [""] * len(order)
        for place, index in enumerate(order):
            looks[index], reasons[index] = self._run(judge, subsets, index) if place else (len(subsets), "")
            if not reasons[index]:
                judge.add(index, self.costs[index], self.recordings[index].texts)
        spent = [sum(each.seconds[item] for item in subsets.known(look - 1)) for each, look in zip(self.recordings, looks, strict=True)]
        saved = tuple(1 - part / sum(each.seconds) for part, each in zip(spent, self.recordings, strict=True))
        return Replay(tuple(looks), tuple(reasons), saved, tuple(index for index in sorted(self.front) if reasons[index]))

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
    budget = "no quality budget" if recorded.least is None else f"budget: at most {-recorded.least:g} chrF lost"
    print(f"\n{budget}; {len(replays)} orders, each with its own subsets")
    seconds = np.array([sum(each.seconds) for each in recorded.recordings])
    beside = np.array([index not in recorded.front for index in range(len(seconds))])
    ceiling = 100 * float(seconds[beside].sum() / seconds.sum()) * (1 - sizes[0] / sizes[-1])
    print(f"  {len(recorded.front)} of {len(seconds)} on the true front; who knew it beforehand would save {ceiling:.1f} % of decoding")
    stopped = np.array([[look if reason else 0 for look, reason in zip(each.looks, each.reasons, strict=True)] for each in replays])
    spared = seconds * np.array([each.saved for each in replays])
    print(f"  {'utterances':>10s}{'stopped there':>16s}{'saved by that':>16s}")
    for look, size in enumerate(sizes[:-1], 1):
        at = stopped == look
        print(f"  {size:10d}{at.sum(axis=1).mean():16.1f}{100 * (spared * at).sum(axis=1).mean() / seconds.sum():14.1f} %")
    print(f"  {sizes[-1]:10d}{(stopped == 0).sum(axis=1).mean():16.1f}  (decoded in full)")
    for index in sorted({index for each in replays for index in each.lost}):
        times = sum(index in each.lost for each in replays)
        reason = next(each.reasons[index] for each in replays if index in each.lost)
        print(f"  lost in {times} of {len(replays)} orders: configuration {index}, chrF {recorded.scores[index]:.2f}; {reason}")


def race(recordings: Sequence[Recording], lines: Lines, lengths: Sequence[float], least: float | None) -> list[Bar]:
    """Replays of one quality budget, and how they compare with the bars."""
    recorded = Recorded(recordings, lines, lengths, least)
    replays = [recorded.replay(order) for order in range(ORDERS)]
    print_replays(recorded, replays, Subsets.of(lengths, 0).sizes)
    lost = 100 * sum(len(each.lost) for each in replays) / (len(replays) * len(recorded.front))
    seconds = np.array([sum(each.seconds) for each in recordings])
    saved = 100 * float(np.mean([np.dot(each.saved, seconds) for each in replays]) / seconds.sum())
    name = "no budget" if least is None else f"budget {least:g}"
    return [
        Bar(f"{name}: true front members stopped early", lost, LOST_PERCENT, at_least=False, unit="%"),
        Bar(f"{name}: decoding saved, of its time on one core", saved, SAVED_PERCENT, unit="%"),
    ]


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
