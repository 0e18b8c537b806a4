"""Time to 95 % of the hypervolume that all arms together found: paredown against Optuna's TPE, NSGA-II and constrained GP.

    python -m tests.benchmarks.bench_search [--minutes 8] [--seeds 3]

Runs are kept in build/bench_search, so that what was interrupted goes on; a run that is there is not made again. The reference is the
union of all runs; its corner is 1.1 times the uncompressed model's latency and bytes, and 10 chrF below it. The front that a run ended
with is scored again: latencies measured anew, in random order beside those of other runs and one uncompressed bundle (all of ours, a dozen
of a baseline's); quality is that of the whole search split, which every complete trial has decoded. What is not timed again keeps the
latency that it claimed, times by how much those of its run moved in the median: what that corrects is the run's own measurement of the
uncompressed model. A run's time is the first second at which its front, scored again, has 95 % of the reference.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.models import load_model
from paredown.profilers.latency import Effort
from paredown.search.front import non_dominated
from paredown.search.hypervolume import hypervolume
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import TIMED_UTTERANCES, spread_by_length, uncompressed
from paredown.trials.findings import find
from paredown.trials.study_run import split_of
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from paredown.trials.workshop import Workshop
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.search_runs import ABLATIONS, ARMS, BASELINES, OURS, Quiet, spec_of

ROOT = Path("build/bench_search")
SHARE = 0.95
RESCORED = Effort()
BATCH = 12  # bundles that are timed beside one reference
SOME = 12  # configurations of a baseline's last front that are timed again
LIMITS = {"TPE": 6.0, "NSGA-II": 6.0, "constrained GP": 3.0}
Real = NDArray[np.float64]
Row = dict[str, Any]


def analyse() -> float:
    """Seconds that the analysis took when it was made into an empty cache, which all runs then share."""
    cache, taken = ROOT / "analysis", ROOT / "analysis.json"
    if not taken.exists():
        shutil.rmtree(cache, ignore_errors=True)
        os.environ["PAREDOWN_CACHE"] = str(cache.absolute())
        spec = spec_of(OURS, 0, 60)
        model = load_model(spec.model.path)
        with Decoder() as decoder, Workshop(model) as workshop:
            seconds = find(spec.space, model, split_of(spec, "analysis"), workshop, decoder, Quiet()).seconds
        taken.write_text(json.dumps(seconds))
    os.environ["PAREDOWN_CACHE"] = str(cache.absolute())
    return float(json.loads(taken.read_text()))


def make_run(arm: str, seed: int, minutes: float) -> None:
    """In a process of its own, with a copy of the analysis and no other memory."""
    folder = ROOT / f"{arm.replace(' ', '-')}-{seed}"
    if (folder / "trials.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "analysis", folder / "cache")
    print(f"  {time.strftime('%H:%M:%S')} {arm}, seed {seed}", flush=True)
    command = [sys.executable, "-m", "tests.benchmarks.search_runs", arm, str(seed), str(60 * minutes), str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"PAREDOWN_CACHE": str((folder / "cache").absolute())})
    shutil.rmtree(folder / "cache")


def load(arm: str, seed: int) -> list[Row]:
    rows: list[Row] = json.loads((ROOT / f"{arm.replace(' ', '-')}-{seed}" / "trials.json").read_text())
    return rows


def points(rows: Sequence[Row]) -> Real:
    """[trials, objectives] of complete trials, lower is better, costs as logarithms."""
    values = [row["values"] for row in rows]
    found = [[-one["quality"], np.log(one["latency_ms@cpu"]), np.log(one["size_bytes"])] for one in values]
    return np.array(found, dtype=np.float64).reshape(len(found), 3)


def on_final_front(rows: Sequence[Row]) -> list[Row]:
    """Complete trials that no other one of their run dominates."""
    complete = [row for row in rows if row["state"] == "complete"]
    return [row for row, on in zip(complete, non_dominated(points(complete)).tolist(), strict=True) if on]


def to_rescore(arm: str, rows: Sequence[Row]) -> list[Row]:
    """Of its last front: all of ours, some of a baseline's, which then keeps the luck of the others."""
    front = on_final_front(rows)
    if arm in BASELINES and len(front) > SOME:
        return [front[place] for place in sorted(np.random.default_rng(0).choice(len(front), SOME, replace=False).tolist())]
    return front


def rescore(runs: Mapping[tuple[str, int], Sequence[Row]]) -> dict[str, float]:
    """Latency over the uncompressed model's, of every configuration that matters, by its JSON; measured in batches, kept on disk."""
    kept = ROOT / "latencies.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    wanted = dict.fromkeys(row["configuration"] for (arm, _), rows in runs.items() for row in to_rescore(arm, rows))
    missing = [text for text in wanted if text not in known]
    missing = [missing[place] for place in np.random.default_rng(0).permutation(len(missing)).tolist()]  # no arm at one time
    if not missing:
        return known
    spec = spec_of(OURS, 0, 60)
    model, split = load_model(spec.model.path), spread_by_length(split_of(spec, "search"), TIMED_UTTERANCES)
    with Workshop(model) as workshop, Stopwatch(spec.target.threads) as stopwatch:
        plain = workshop.build(uncompressed(model))
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            bundles = {text: workshop.build(Configuration.from_json(text)) for text in batch}
            timed = stopwatch.time(
                {REFERENCE: Timed(plain)} | {text: Timed(bundle) for text, bundle in bundles.items()},
                split,
                RESCORED,
                fixed_tokens=None,
                seed=start,
            )
            known |= {text: timed[text].free.ratio for text in batch}
            for text, bundle in bundles.items():
                if bundle != plain:
                    workshop.discard(Configuration.from_json(text))
            kept.write_text(json.dumps(known))
            print(f"  {time.strftime('%H:%M:%S')} scored again: {min(start + BATCH, len(missing))} of {len(missing)}", flush=True)
    return known


class Judged:
    """One run beside the reference."""

    def __init__(self, rows: Sequence[Row], ratios: Mapping[str, float], corner: Real) -> None:
        self.rows = [row for row in rows if row["state"] == "complete"]
        self._plain_ms = next(row for row in self.rows if row["label"] == "uncompressed")["values"]["latency_ms@cpu"]
        last = on_final_front(self.rows)
        timed = [row for row in last if row["configuration"] in ratios]
        self._ratios, self.moved = ratios, median(ratios[row["configuration"]] / self._claimed(row) for row in timed)
        own = points(self.rows)
        self.curve: list[tuple[float, float]] = []
        for place, row in enumerate(self.rows):
            keep = non_dominated(own[: place + 1])
            front = [self.scored(one) for one, on in zip(self.rows, keep.tolist(), strict=False) if on]
            self.curve.append((row["second"], hypervolume(front, corner)))
        self.front = [self.scored(row) for row in last]
        self.kept = self.curve[-1][1] / hypervolume([self._point(row, self._claimed(row)) for row in last], corner)
        self.trials = len(rows)

    def scored(self, row: Row) -> list[float]:
        """As `points`, latency over that of the uncompressed model, measured again or, off the last front, corrected."""
        return self._point(row, self._ratios.get(row["configuration"]) or self._claimed(row) * self.moved)

    def _claimed(self, row: Row) -> float:
        return float(row["values"]["latency_ms@cpu"]) / self._plain_ms

    def _point(self, row: Row, ratio: float) -> list[float]:
        return [-row["values"]["quality"], float(np.log(ratio)), float(np.log(row["values"]["size_bytes"]))]

    def reached(self, volume: float) -> float | None:
        """Seconds to this hypervolume, None where it was never reached."""
        return next((second for second, found in self.curve if found >= volume), None)

    def at(self, second: float) -> float:
        """Hypervolume at this second."""
        return max((found for when, found in self.curve if when <= second), default=0.0)


def main() -> None:
    """The runs that are missing, then scores and bars."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--ablation-minutes", type=float, help="cap of the runs without an ingredient (default: as the others)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="store_true", help="judge the runs that are there")
    options, _ = parser.parse_known_args()
    ROOT.mkdir(parents=True, exist_ok=True)
    analysis_s = analyse()
    plan = [(arm, seed) for seed in range(options.seeds) for arm in ARMS] + [(arm, 0) for arm in ABLATIONS]
    caps = {arm: options.minutes if arm in ARMS else options.ablation_minutes or options.minutes for arm, _ in plan}
    for arm, seed in [] if options.only else plan:
        make_run(arm, seed, caps[arm])
    runs = {(arm, seed): load(arm, seed) for arm, seed in plan if (ROOT / f"{arm.replace(' ', '-')}-{seed}" / "trials.json").exists()}
    report(runs, rescore(runs), analysis_s, {arm: 60 * minutes for arm, minutes in caps.items()})


def report(
    runs: Mapping[tuple[str, int], Sequence[Row]], ratios: Mapping[str, float], analysis_s: float, cap_s: Mapping[str, float]
) -> None:
    plain = next(row for rows in runs.values() for row in rows if row["label"] == "uncompressed")
    corner = np.array([10.0, np.log(1.1), np.log(1.1 * plain["values"]["size_bytes"])])
    judged = {key: Judged(rows, ratios, corner) for key, rows in runs.items()}
    whole = hypervolume([point for one in judged.values() for point in one.front], corner)
    print(
        f"\nreference: hypervolume {whole:.3f} of {sum(len(one.front) for one in judged.values())} points; cap {cap_s[OURS]:.0f} s a run;"
    )
    print(f"analysis, made once for all arms: {analysis_s:.0f} s")
    names = f"{'arm':16s}{'seed':>5s}{'trials':>8s}{'complete':>9s}{'front':>6s}{'moved':>7s}{'in the end':>11s}"
    print(f"  {names}{'seconds to 95 %':>17s}{'kept':>7s}")
    times: dict[str, list[float]] = {}
    ended: dict[str, list[bool]] = {}
    for (arm, seed), one in judged.items():
        found = one.reached(SHARE * whole)
        times.setdefault(arm, []).append(cap_s[arm] if found is None else found)
        ended.setdefault(arm, []).append(found is not None)
        shown = f"at least {cap_s[arm]:.0f}" if found is None else f"{found:.1f}"
        share = one.curve[-1][1] / whole
        counts = f"{arm:16s}{seed:5d}{one.trials:8d}{len(one.rows):9d}{len(one.front):6d}"
        print(f"  {counts}{one.moved:7.3f}{share:11.3f}{shown:>17s}{one.kept:7.3f}")
    medians = {arm: median(found) for arm, found in times.items()}
    bars = [
        Bar(f"{arm}: time to 95 % over paredown's (medians)", medians[arm] / medians[OURS], LIMITS[arm])
        for arm in BASELINES
        if arm in medians
    ]
    bars.append(Bar("front scored again over claimed (worst seed)", min(one.kept for (arm, _), one in judged.items() if arm == OURS), 0.98))
    print_bars("bars (a run that did not get there counts as the cap: its ratio is a lower bound)", bars)
    for arm in BASELINES:
        if arm in medians:
            bound = "" if sum(ended[arm]) > len(ended[arm]) / 2 else "at least "
            whole_ratio = (medians[arm] + analysis_s) / (medians[OURS] + analysis_s)
            print(
                f"  {arm}: {bound}{medians[arm]:.0f} s against {medians[OURS]:.0f} s; with the analysis counted for both {whole_ratio:.2f}x"
            )
            level = median(one.curve[-1][1] for (name, _), one in judged.items() if name == arm)
            ours = [one.reached(level) for (name, _), one in judged.items() if name == OURS]
            sooner_s = median(cap_s[OURS] if found is None else found for found in ours)
            ratio = cap_s[arm] / sooner_s
            print(f"    what it has in the end ({level / whole:.3f}, median) paredown has after {sooner_s:.0f} s: {ratio:.1f}x sooner")
    for arm in ABLATIONS:
        if (arm, 0) in judged:
            without, own = (judged[name, 0].at(cap_s[arm]) / whole for name in (arm, OURS))
            print(f"  {arm}: {without:.3f} after {cap_s[arm]:.0f} s, paredown {own:.3f} (seed 0)")


if __name__ == "__main__":
    main()
