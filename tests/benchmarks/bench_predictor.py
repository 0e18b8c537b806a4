"""The latency predictor on configurations that it has not seen: other depths, widths, hop lengths, beams and kernels, random weights.

    python -m tests.benchmarks.bench_predictor [--quick]

The machine is profiled first, as a study would; then every configuration is built, timed and predicted. Bars are the issue's. A machine's
speed wanders, so configurations are timed beside the profile's reference run, at its speed then.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from paredown.models import Model, load_model
from paredown.profilers.bootstrap import median_interval
from paredown.profilers.fingerprint import read_fingerprint
from paredown.profilers.prediction.report import PredictorReport
from paredown.trials.operations import count_frames, operations_of, read_structure
from paredown.trials.predicting.cache import plan_for, profile_target
from paredown.trials.predicting.predictor import LatencyPredictor, Utterance
from paredown.trials.predicting.probe_plan import ModelSize
from paredown.trials.predicting.probes import Shape, configuration_of, make_random, write_random
from paredown.trials.predicting.stage_times import Doubles, Run, time_stages
from tests.benchmarks.bars import Bar, print_bars

MODEL, KERNELS = "bundled:tatoeba-en-de", ("fp32", "int8")
SEED = 20261120  # of the configurations, drawn when the predictor was finished
SECONDS, TOKENS = 4.0, 20
BLOCKS = {"encoder": (2, 12), "decoder": (1, 9)}
UNITS, WIDTHS, HOPS, BEAMS = (320, 416, 600, 800, 960, 1000, 1280), (144, 160, 176), (160, 200, 250, 300), (1, 10)
TOGETHER = 10  # bundles that are loaded at a time


@dataclass(frozen=True)
class Held:
    """A configuration that the fit does not see."""

    shape: Shape
    beam: int


def draw_held_out(count: int, known: Sequence[Shape], own: Shape, rng: np.random.Generator) -> list[Held]:
    """Distinct shapes, none of them profiled. `own`: the model's, in full; what a shape in `known` leaves open is as there."""
    found: dict[str, Held] = {}
    seen = {complete(shape, own).name for shape in known}
    while len(found) < count:
        encoder, decoder = (int(rng.integers(low, high)) for low, high in BLOCKS.values())
        units = [int(rng.choice(UNITS)) for _ in range(2)]
        kernel = KERNELS[int(rng.integers(len(KERNELS)))]
        shape = Shape(kernel, encoder, decoder, *units, int(rng.choice(WIDTHS)), int(rng.choice(HOPS)))  # type: ignore[arg-type]
        if shape.name not in seen:
            found[shape.name] = Held(shape, int(rng.integers(BEAMS[0], BEAMS[1] + 1)))
    return list(found.values())


def complete(shape: Shape, own: Shape) -> Shape:
    """The shape with what it leaves open filled in."""
    left_open = {field.name: getattr(own, field.name) for field in fields(Shape) if getattr(shape, field.name) is None}
    return replace(shape, **left_open)


def own_shape(model: Model) -> Shape:
    """The model's own shape, nothing left open."""
    size = ModelSize.of(model.inventory())
    units = (size.encoder_units, size.decoder_units)
    return Shape("fp32", size.encoder_blocks, size.decoder_blocks, *units, size.width, model.frontend.hop_samples)


def measure(
    model: Model, held: Sequence[Held], repeats: int, predictor: LatencyPredictor, folder: Path, seed: int
) -> tuple[Doubles, Doubles]:
    """Milliseconds at the speed that the machine had when it was profiled [configurations, half the repeats], and as they came, all."""
    rate_hz = model.frontend.sample_rate_hz
    plan = plan_for(model, KERNELS)
    name, shape = plan.shapes[0]
    reference = write_random(model, shape, seed, folder, name)
    found, plain = [], []
    for start in range(0, len(held), TOGETHER):
        part = held[start : start + TOGETHER]
        bundles = {each.shape.name: write_random(model, each.shape, seed, folder) for each in part}
        runs = [Run(each.shape.name, round(SECONDS * rate_hz), TOKENS, each.beam) for each in part]
        timed = time_stages({name: reference} | bundles, runs, plan.reference, repeats, seed)
        found.append(timed.at_speed_of(predictor.reference_ms))
        plain.append(timed.totals_ms)
    return np.concatenate(found), np.concatenate(plain)


def predict(model: Model, held: Held, predictor: LatencyPredictor) -> tuple[float, str]:
    """Milliseconds, and what was extrapolated."""
    made = make_random(model, held.shape, SEED)
    structure = read_structure(made)
    operations = operations_of(made.inventory(), configuration_of(made, held.shape), structure)
    frames = count_frames(made.frontend, round(SECONDS * made.frontend.sample_rate_hz))
    found = predictor.predict(operations, structure, [Utterance(frames, TOKENS, held.beam)], predictor.fingerprint)
    return found.value, str(found.detail_of["extrapolated"])


def bars_of(report: PredictorReport) -> list[Bar]:
    """The issue's bars."""
    n = report.configurations
    return [
        Bar(f"{n} configurations: longest to shortest", report.span, 3.0),
        Bar("median absolute error", 100 * report.median_error, 6.0, at_least=False, unit="%"),
        Bar("share within 10 %", 100 * report.close_share, 85.0, unit="%"),
        Bar(f"Spearman over the {report.pairs} pairs whose intervals lie apart", report.spearman, 0.97, unit=""),
    ]


def main(arguments: Sequence[str] | None = None) -> list[Bar]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, 20 configurations")
    parser.add_argument("--seed", type=int, default=SEED, help="of the configurations and their weights")
    options = parser.parse_args(arguments)
    count, profile_repeats, repeats = (20, 4, 5) if options.quick else (40, 10, 15)
    torch.set_num_threads(1)
    model = load_model(MODEL)
    began = time.perf_counter()
    predictor = profile_target(model, KERNELS, read_fingerprint(1).digest, repeats=profile_repeats, progress=print)
    print(f"profiled {predictor.runs} runs in {time.perf_counter() - began:.0f} s, error of left-out probes {predictor.error:.1%} (95 %)")
    held = draw_held_out(
        count, [shape for _, shape in plan_for(model, KERNELS).shapes], own_shape(model), np.random.default_rng(options.seed)
    )
    with tempfile.TemporaryDirectory() as folder:
        samples, plain = measure(model, held, repeats, predictor, Path(folder), options.seed)
    rng = np.random.default_rng(options.seed)
    measured, predicted, intervals = [], [], []
    print(f"\n{SECONDS} s of audio, {TOKENS} tokens, 1 thread: kernel-blocks-units-... beam, measured and predicted ms")
    for each, row in zip(held, samples, strict=True):
        value, extrapolated = predict(model, each, predictor)
        middle, (low, high) = float(np.median(row)), median_interval(row[None], rng)
        measured.append(middle), predicted.append(value), intervals.append((low, high))
        name = f"{each.shape.name} {each.beam}"
        print(f"  {name:36s} {middle:7.1f} [{low:6.1f}, {high:6.1f}] {value:7.1f} {value / middle - 1:+7.1%} {extrapolated}")
    widths = [(high - low) / middle for (low, high), middle in zip(intervals, measured, strict=True)]
    disturbed = PredictorReport.of(predicted, np.median(plain, axis=1).tolist(), intervals)
    print(f"  beside plain medians, whatever the machine did meanwhile: median error {disturbed.median_error:.1%}")
    print(f"  intervals are {np.median(widths):.1%} wide in the median; all of it took {time.perf_counter() - began:.0f} s")
    bars = bars_of(PredictorReport.of(predicted, measured, intervals))
    print_bars("bars of the latency predictor", bars)
    return bars


if __name__ == "__main__":
    main()
