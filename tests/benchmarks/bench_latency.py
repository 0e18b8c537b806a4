"""Whether strict latency tells the truth: one bundle against itself, and against itself slowed down by 5 %.

A against A is a real control: two candidates of one bundle, each with loads of its own. That matters. Where a load lies in memory makes
it faster or slower for as long as it lives, and no repetition inside one pair of loads removes it. Measured with the bundled model, one
thread, two cores of an AMD EPYC that others used too: of six int8 loads side by side one was slower than the median of the others by 4
and by 2 % in the two halves of 360 runs each, and on all 12 utterances; one load that stayed was slower than the mean of 24 that came and
went by 2.7 % (int8) and 2.3 % (fp32), standard errors 0.5 and 0.4 %, in other processes by less than 1 %. So `STRICT` loads anew between
blocks, and loads are a level of its bootstrap.

What dependence remains: runs of this benchmark share a process, ten at a time, and the machine; an hour with a bad neighbour widens
intervals of that hour. Both candidates are loaded in random order next to each other, so neither is favoured, and whether 1 lies in an
interval hardly depends on the run before. Every run has a seed of its own. The same utterances are used in all runs: the ratio of a bundle
to itself has no differences between utterances.

Every finished run is a line of a file under build/, and a second call goes on where the first ended (`--fresh` begins anew; a run that was
made of another bundle or effort is refused). Short utterances, decoded greedily unless `--beam-size` says otherwise, so that a strict run
takes seconds, most of which are loads: half an hour to three quarters on two quiet cores. Leave the machine alone meanwhile.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from paredown.data import Split, open_data
from paredown.profilers.latency import STRICT, Latency
from paredown.profilers.latency.session import Loaded, Subject, measure_latency
from paredown.profilers.latency.warmup import Run
from paredown.profilers.machine_load import TOLERATED, MachineWatch
from paredown.profilers.pinning import pinned
from paredown.profilers.placement import scattered
from paredown.trials.timing import REFERENCE, Device, Stopwatch, Timed, runner
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.machine_watch import tell_others

MODEL = "bundled:tatoeba-en-de"
RESULTS = Path("build/bench_latency.jsonl")
SAME, SLOWED = "same", "slowed"
SLOWDOWN = 0.05
UTTERANCES = 24
PER_PROCESS = 10
WANTED, QUICKLY = {SAME: 200, SLOWED: 100}, {SAME: 10, SLOWED: 5}
LEAST_COVER, MOST_COVER, MOST_WIDTH, LEAST_FOUND = 0.92, 0.98, 0.04, 0.90


@dataclass(frozen=True)
class Result:
    """One strict measurement: of which part, its number and seed, the ratio and its interval, and how it went."""

    part: str
    number: int
    made_of: str
    ratio: float
    low: float
    high: float
    loads: int
    runs: int
    seconds: float
    stopped: str
    others_share: float | None
    drifted: bool

    @property
    def width(self) -> float:
        """Relative to the ratio."""
        return (self.high - self.low) / self.ratio

    @classmethod
    def of(cls, part: str, number: int, made_of: str, latency: Latency) -> "Result":
        conditions, timing = latency.conditions, latency.free
        assert conditions is not None
        session = (conditions.loads, timing.runs, conditions.seconds, conditions.stopped, conditions.others_share, conditions.drifted)
        return cls(part, number, made_of, timing.ratio, *timing.ratio_ci95, *session)


def read_results(path: Path, made_of: str) -> list[Result]:
    """What earlier calls finished; a line that was cut off counts as not run. Exits where it was made of something else."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            results.append(Result(**json.loads(line)))
        except (TypeError, ValueError):
            continue
    others = {result.made_of for result in results} - {made_of}
    if others:
        sys.exit(f"{path} holds runs of {', '.join(sorted(others))}, not of {made_of}: --fresh begins anew")
    return results


def append(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def judge(results: Sequence[Result], wanted: dict[str, int]) -> list[Bar]:
    """The bars of the issue; a part that is not complete is not run."""
    same = [result for result in results if result.part == SAME]
    slowed = [result for result in results if result.part == SLOWED]

    def share(what: str, of: list[Result], holds: Callable[[Result], bool], limit: float, at_least: bool = True) -> Bar:
        done = len(of) >= wanted[of[0].part] if of else False
        figure = float(np.mean([holds(result) for result in of])) if done else None
        return Bar(f"{what} ({len(of)} runs)", figure, limit, at_least, "", f"only {len(of)} runs")

    def covers(result: Result) -> bool:
        return result.low <= 1.0 <= result.high

    worst = max(result.width for result in same) if len(same) >= wanted[SAME] else None
    return [
        share("A/A: 95 % interval of the ratio contains 1", same, covers, LEAST_COVER),
        share("A/A: 95 % interval of the ratio contains 1", same, covers, MOST_COVER, at_least=False),
        share("A/A: interval at most 4 % wide", same, lambda result: result.width <= MOST_WIDTH, 1.0),
        Bar("A/A: widest interval", worst, MOST_WIDTH, at_least=False, unit="", reason=f"only {len(same)} runs"),
        share("slowed by 5 %: found", slowed, lambda result: result.low > 1.0, LEAST_FOUND),
    ]


def describe(results: Sequence[Result]) -> Iterator[str]:
    """Lines about the runs of each part."""
    for part in (SAME, SLOWED):
        own = [result for result in results if result.part == part]
        if not own:
            continue
        ratios, widths, seconds, loads = (
            np.array([getattr(result, name) for result in own]) for name in ("ratio", "width", "seconds", "loads")
        )
        yield (
            f"  {part}: ratio {np.median(ratios):.4f} (standard deviation {100 * ratios.std():.2f} %), "
            f"width {100 * np.median(widths):.2f} % (90th percentile {100 * np.quantile(widths, 0.9):.2f} %), "
            f"{np.median(seconds):.1f} s, {np.mean(loads):.0f} loads"
        )
        reasons = {reason: sum(result.stopped == reason for result in own) for reason in sorted({result.stopped for result in own})}
        busy = sum(result.others_share is not None and result.others_share > TOLERATED for result in own)
        yield f"    stopped: {reasons}; drift flagged in {sum(result.drifted for result in own)}, foreign load in {busy} of {len(own)}"


def time_slowed(timed: Timed, files: tuple[Path, ...], slowdown: float, seed: int, device: Device) -> Latency:
    """A strict measurement of a bundle against itself, busy for `slowdown` of every call's own duration after it. In the timing process."""

    rng = np.random.default_rng(seed)

    def load(share: float) -> Loaded:
        with scattered(rng):
            return Loaded(slowed(runner(timed, files, device)[0], share))

    with pinned(device.threads) as cores:
        seconds = runner(timed, files, device)[1]
        subject = Subject({REFERENCE: lambda: load(0.0), SLOWED: lambda: load(slowdown)}, REFERENCE, len(files), seconds)
        return measure_latency(subject, STRICT, rng, cores=cores)[SLOWED]


def slowed(run: Run, share: float, clock: Callable[[], float] = time.perf_counter) -> Run:
    """`run`, which then keeps its core busy for `share` of what it took."""

    def wait(item: int) -> int:
        begin = clock()
        tokens = run(item)
        end = clock() + share * (clock() - begin)
        while share and clock() < end:
            pass
        return tokens

    return wait


def short_utterances(split: Split, count: int) -> Split:
    """Every other one of the shortest, so that a run takes seconds."""
    ordered = sorted(split.utterances, key=lambda utterance: (utterance.audio.stat().st_size, utterance.id))
    return Split(split.name, tuple(islice(ordered, 0, 2 * count, 2)))


def write_bundle_of(kernel: str, folder: Path) -> Path:
    """The bundled model, as a bundle."""
    from paredown.models import load_model
    from paredown.space.configuration import Configuration, Scheme
    from paredown.trials.workshop import Workshop

    with Workshop(load_model(MODEL)) as workshop:
        return workshop.build(Configuration(scheme=Scheme(kernel=kernel))).rename(folder / kernel)  # type: ignore[arg-type]


def run(options: argparse.Namespace) -> list[Bar]:
    """All runs that are not there yet, and the bars."""
    wanted = QUICKLY if options.quick else WANTED
    made_of = f"{options.kernel}, beam {options.beam_size}, {options.threads} thread(s), {UTTERANCES} utterances, {STRICT}"
    path = RESULTS.with_stem(RESULTS.stem + ("_quick" if options.quick else ""))
    if options.fresh:
        path.unlink(missing_ok=True)
    results = read_results(path, made_of)
    done = {(result.part, result.number) for result in results}
    todo = [(part, number) for part, count in wanted.items() for number in range(count) if (part, number) not in done]
    began = MachineWatch.now()
    with tempfile.TemporaryDirectory() as directory:
        timed = Timed(write_bundle_of(options.kernel, Path(directory)), options.beam_size)
        split = short_utterances(open_data(f"{MODEL}/search"), UTTERANCES)
        for begin in range(0, len(todo), PER_PROCESS):
            with Stopwatch(options.threads) as stopwatch:
                for part, number in todo[begin : begin + PER_PROCESS]:
                    results.append(Result.of(part, number, made_of, measure(stopwatch, timed, split, part, number)))
                    append(path, results[-1])
                    tell(results[-1])
    for line in (*describe(results), tell_others(began, "all of it")):
        print(line)
    return judge(results, WANTED)


def measure(stopwatch: Stopwatch, timed: Timed, split: Split, part: str, number: int) -> Latency:
    if part == SAME:
        found = stopwatch.time({REFERENCE: timed, SAME: timed}, split, STRICT, fixed_tokens=None, seed=number)
        return found[SAME]
    files = tuple(utterance.audio for utterance in split.utterances)
    return stopwatch.alone(time_slowed, timed, files, SLOWDOWN, 10_000 + number, stopwatch.device)


def tell(result: Result) -> None:
    others = "unknown" if result.others_share is None else f"{100 * result.others_share:.0f} %"
    print(
        f"  {result.part} {result.number}: {result.ratio:.4f} [{result.low:.4f}, {result.high:.4f}], {100 * result.width:.2f} % wide, "
        f"{result.loads} loads, {result.seconds:.1f} s, {result.stopped}, others {others}",
        flush=True,
    )


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 and 5 runs in a file of their own: two minutes, and no judgement")
    parser.add_argument("--fresh", action="store_true", help="forget the runs that are there")
    parser.add_argument("--kernel", choices=("fp32", "int8"), default="int8", help="of the bundle (default int8)")
    parser.add_argument("--beam-size", type=int, default=1, help="default 1: greedy, so that loads are most of the time")
    parser.add_argument("--threads", type=int, default=1)
    print_bars("strict latency", run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
