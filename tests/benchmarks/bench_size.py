"""Bytes that are foretold against bytes that are written, on random configurations of the bundled model, and the time that each takes.

A configuration is foretold twice: for the first time, when its graphs are made, and again, when its structure is known. It is written with
the quantized layers of the earlier ones at hand, as a search does it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

COUNT, NAME = 50, "bundled:tatoeba-en-de"
Result = TypeVar("Result")


def run(count: int, seed: int) -> None:
    """Foretell and write `count` configurations; every file must have the bytes foretold."""
    from paredown.bundle import write_bundle
    from paredown.bundle.forecast import Forecast
    from paredown.compress.network import compress_model
    from paredown.models import load_model
    from paredown.profilers.size import measure_size
    from tests.benchmarks.bars import Bar, print_bars
    from tests.bundle.configurations import draw_configurations

    model, memo = load_model(NAME), {}
    forecast, start_s = timed(lambda: Forecast(model))
    seconds: dict[str, list[float]] = {"foretold first": [], "foretold again": [], "written": []}
    equal, sizes_mb = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for number, configuration in enumerate(draw_configurations(model, count, seed)):
            bundle = Path(folder) / str(number)
            first, first_s = timed(lambda one=configuration: forecast.foretell(one))
            _, again_s = timed(lambda one=configuration: forecast.foretell(one))
            _, write_s = timed(lambda one=configuration, to=bundle: write_bundle(model, compress_model(model, one, memo), to))
            for name, taken in zip(seconds, (first_s, again_s, write_s), strict=True):
                seconds[name].append(taken)
            equal += first.files == measure_size(bundle).files
            sizes_mb.append(first.size_bytes / 1e6)
    print(f"\n{count} configurations of {NAME}, {min(sizes_mb):.2f} to {max(sizes_mb):.2f} MB; forecast made in {1000 * start_s:.0f} ms")
    for name, taken in seconds.items():
        print(f"  {name:16s} median {1000 * np.median(taken):7.1f} ms, largest {1000 * max(taken):7.1f} ms")
    print_bars("bars of size", [Bar("share of configurations foretold to the byte, every file", equal / count, 1.0)])


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What the work gives, and the seconds it took."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def main() -> None:
    """Run with the numbers of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_known_args()[0]
    run(options.count, options.seed)


if __name__ == "__main__":
    main()
