"""The runtime against what users have today, in one run and interleaved: ESPnet in torch, torch with caches, and the floor.

The first paper's shape (random weights, end of sentence forbidden) and the bundled model on its test split. Decoded beside each other, in
random order: ESPnet's own encoder and beam search in torch at fp32 and with torch's dynamic quantization (qint8, float16 of all linear
layers); a torch decoder with cached keys and values that runs the bundles' beam search ("packed": with weights in oneDNN's layout, by a
private operator of torch); bundles at fp32, 8, 4, 3 and 2 bits; the floor (`tests.benchmarks.floor`). Beside every figure that the
runtime is held to stands its bar, met or missed. All figures are of this machine: leave it alone meanwhile.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

PARTS = ("bytes", "footprints", "short", "long", "steps", "greedy", "joint", "bundled")


@dataclass(frozen=True)
class Effort:
    """Rounds of every part, and utterances of the bundled model."""

    short: int
    long: int
    greedy: int
    joint: int
    steps: int
    alone: int
    utterances: int
    bundled: int


FULL = Effort(short=12, long=7, greedy=6, joint=6, steps=12, alone=3, utterances=24, bundled=3)
QUICK = Effort(short=3, long=2, greedy=2, joint=2, steps=3, alone=0, utterances=8, bundled=1)


def run(options: argparse.Namespace) -> None:
    """All parts that were asked for, and all bars once more at the end."""
    import torch

    from paredown.models import load_model
    from paredown.profilers.machine_load import MachineWatch
    from tests.benchmarks.bars import print_bars
    from tests.benchmarks.bundled_runs import run_bundled
    from tests.benchmarks.first_paper import write_first_paper_model
    from tests.benchmarks.footprints import run_bytes, run_footprints
    from tests.benchmarks.machine_watch import tell_others
    from tests.benchmarks.shape_runs import LENGTHS, Shape, run_greedy, run_joint, run_length, run_steps

    torch.set_num_threads(options.threads)
    effort, began = QUICK if options.quick else FULL, time.monotonic()
    short, long = LENGTHS
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        bars = []
        checkpoint = write_first_paper_model(folder / "checkpoint")
        shape = Shape.of(load_model(checkpoint), folder, options.threads)
        parts = {
            "bytes": lambda: run_bytes(shape.bundles),
            "footprints": lambda: run_footprints(checkpoint, shape.bundles, options.threads, short.seconds, short.tokens),
            "short": lambda: run_length(shape, short, effort.short, effort.alone),
            "long": lambda: run_length(shape, long, effort.long, alone=0),
            "steps": lambda: run_steps(shape, long, effort.steps),
            "greedy": lambda: [run_greedy(shape, length, effort.greedy) for length in LENGTHS] and [],
            "joint": lambda: run_joint(shape, short, effort.joint),
            "bundled": lambda: run_bundled(folder / "bundled", options.threads, _utterances(options, effort), effort.bundled) or [],
        }
        for part in options.parts:
            watch = MachineWatch.now()
            bars += parts[part]()
            print(tell_others(watch, part), flush=True)
    print_bars(f"all bars, after {time.monotonic() - began:.0f} s", bars)
    missed = [bar for bar in bars if bar.verdict == "missed"]
    print(f"{len(bars) - len(missed)} of {len(bars)} bars met" + (f"; missed: {'; '.join(bar.what for bar in missed)}" if missed else ""))


def _utterances(options: argparse.Namespace, effort: Effort) -> int | None:
    if options.all_utterances:
        return None
    return effort.utterances if options.utterances is None else int(options.utterances)


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of everything that is timed (default 2)")
    parser.add_argument("--quick", action="store_true", help="few rounds: about two minutes instead of ten")
    parser.add_argument("--utterances", type=int, help="how many of the bundled model's test split")
    parser.add_argument("--all-utterances", action="store_true", help="all of them")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"some of: {', '.join(PARTS)}")
    return parser.parse_known_args(arguments)[0]


def main() -> None:
    """Run in a process in which the BLAS of NumPy has one thread: its threads would spin beside onnxruntime's and torch's."""
    options = _read_options(None)
    wanted = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": str(options.threads)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        command = [sys.executable, "-m", "tests.benchmarks.bench_runtime", *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=os.environ | wanted, check=False).returncode)
    logging.getLogger("espnet").setLevel(logging.ERROR)  # it warns of every length limit that it reaches
    warnings.filterwarnings("ignore", module="torch")
    run(options)


if __name__ == "__main__":
    main()
