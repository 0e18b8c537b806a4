"""A study of 2,000 trials: showing its front, resuming it, asking for the next trial, and what each trial costs in bookkeeping.

Configurations name the bits of as many layers as the bundled model has, figures carry the details that real ones do, three objectives and
two budgets. `front` and the resume are whole processes, from the start of Python; the default sampler is asked. Figures are drawn, so the
front is smaller than a real one; `--trials` makes the study shorter.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

TRIALS, LAYERS, REPEATS = 2_000, 161, 5
FRONT_S, RESUME_S, ASK_S = 2.0, 4.0, 0.5
_DETAILS = ("p90", "tokens", "fixed_tokens_median", "fixed_tokens_ratio", "features_ms", "encoder_ms", "search_ms", "noise")
_MORE = ("params", "macs", "peak_rss_bytes", "bleu", "chrf++")
_RESUME = """
import sys
from pathlib import Path
from tests.benchmarks.bench_large_study import open_study
with open_study(Path(sys.argv[1]), int(sys.argv[2])) as study:
    known = {trial.digest for trial in study.trials}
assert len(known) == int(sys.argv[2])
"""


def open_study(folder: Path, trials: int):  # type: ignore[no-untyped-def]  # its class is imported late, as all of paredown here
    """The study, created or resumed; it is planned for some trials more than it has."""
    from paredown.search.study import Study
    from paredown.search.study_file import make_spec
    from tests.search.bundled_toy import make_space

    search = {"sampler": "auto", "trials": trials + 100, "seed": 0}
    space = {"layers": {"decoder": [3, 6]}}
    budgets = {"size": "9 MB", "quality": "-6"}
    spec = make_spec({"name": "large", "model": {"path": "none"}, "space": space, "search": search, "budgets": budgets})
    return Study.open(folder, spec, make_space(), spec.objective_list, spec.budget_list, {"model": "a", "search split": "b"})


def fill(folder: Path, trials: int) -> tuple[list[float], list[float]]:
    """Writes the study; seconds that writing a trial and reading the study after it took, of every trial."""
    from paredown.search.budget import violations
    from paredown.search.objective import read_values
    from paredown.search.trial import Candidate
    from tests.search.bundled_toy import inventory, make_space

    rng, knobs = np.random.default_rng(0), make_space().knobs
    paths = [layer.path for layer in inventory().layers]
    paths += [f"encoder.more.{index}" for index in range(LAYERS - len(paths))]
    written, read = [], []
    with open_study(folder, trials) as study:
        for number in range(trials):
            drawn = study.space.checked({knob.name: float(_draw(knob, rng)) for knob in knobs})
            bits = tuple((path, int(rng.integers(2, 9))) for path in paths)
            candidate = Candidate("search" if number else "uncompressed", replace(study.space.base, bits=bits), tuple(drawn.items()))
            found = _outcome(rng)
            named = {budget.name: miss for budget, miss in zip(study.budgets, violations(study.budgets, found), strict=True)}
            began = time.perf_counter()
            running = study.storage.begin(candidate, knobs)
            study.storage.complete(running, found, read_values(study.objectives, found), named, 1.0)
            written.append(time.perf_counter() - began)
            began = time.perf_counter()
            assert len(study.trials) == number + 1
            read.append(time.perf_counter() - began)
    return written, read


def _draw(knob, rng: np.random.Generator) -> float:  # type: ignore[no-untyped-def]
    choices = getattr(knob, "choices", None)
    if choices is not None:
        return float(rng.choice(choices))
    whole = isinstance(knob.low, int)
    return float(rng.integers(knob.low, knob.high + 1)) if whole else float(rng.uniform(knob.low, knob.high))


def _outcome(rng: np.random.Generator):  # type: ignore[no-untyped-def]
    from paredown.profilers.measurement import Measurement
    from paredown.search.outcome import Outcome

    quality, latency_ms, size_bytes = rng.normal(-5, 3), rng.lognormal(4, 0.4), round(rng.lognormal(16, 0.3))
    detail = tuple((name, float(rng.random())) for name in _DETAILS)
    found = [
        ("quality", Measurement(quality, "chrF", (quality - 1, quality + 1), 200, detail=(("tokens", 12.0),))),
        ("chrf", Measurement(50 + quality, "chrF", (49 + quality, 51 + quality), 200)),
        ("latency_ms@cpu", Measurement(latency_ms, "ms", (0.98 * latency_ms, 1.02 * latency_ms), 20, detail=detail, target="a" * 64)),
        ("size_bytes", Measurement(size_bytes, "bytes")),
    ]
    return Outcome((*found, *((name, Measurement(float(rng.random()), "x", None, 20, detail=detail)) for name in _MORE)))


def process_seconds(command: Sequence[str]) -> float:
    """Wall clock of a whole process, median of some."""
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - began)
    return median(found)


def ask_seconds(folder: Path, trials: int) -> list[float]:
    """Of asking for one trial after another, the study resumed before."""
    from paredown.search.chooser import Chooser
    from paredown.search.sampler import choose_sampler

    found = []
    with open_study(folder, trials) as study:
        sampler = choose_sampler(study.spec.search.sampler, study.spec.search.trials)
        chooser = Chooser(study, deque(), sampler)
        pending = []
        for _ in range(2 * REPEATS):
            began = time.perf_counter()
            candidate = chooser.next(study.trials, pending, float("inf"))
            found.append(time.perf_counter() - began)
            assert candidate is not None
            pending.append(candidate)
    return found


def run(trials: int) -> None:
    """Print every time, and the bars."""
    from tests.benchmarks.bars import Bar, print_bars

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "large"
        written, read = fill(folder, trials)
        size_mb = (folder / "study.db").stat().st_size / 1e6
        print(f"{trials} trials of {LAYERS} layers, study.db {size_mb:.1f} MB", flush=True)
        for what, seconds in (("written", written), ("read after it", read)):
            first, last = (1e3 * median(part) for part in (seconds[:100], seconds[-100:]))
            print(f"  a trial {what}: {first:.1f} ms at the beginning, {last:.1f} ms at the end, most {1e3 * max(seconds):.0f} ms")
        front = process_seconds(["-m", "paredown.cli", "front", str(folder)])
        resume = process_seconds(["-c", _RESUME, str(folder), str(trials)])
        asked = ask_seconds(folder, trials)
        print(f"  asking: {asked[0]:.3f} s right after resuming, then {median(asked[1:]):.3f} s (most {max(asked[1:]):.3f} s)")
    print_bars(
        f"a study of {trials} trials",
        [
            Bar("front, a whole process", front, FRONT_S, at_least=False, unit="s"),
            Bar("resuming with all trials and digests, a whole process", resume, RESUME_S, at_least=False, unit="s"),
            Bar("asking for the next trial, slowest, the first after resuming among them", max(asked), ASK_S, at_least=False, unit="s"),
        ],
    )


def main() -> None:
    """Run with the numbers of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    run(parser.parse_known_args()[0].trials)


if __name__ == "__main__":
    main()
