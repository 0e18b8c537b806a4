"""Bit-widths chosen by sensitivity beside uniform ones, on the bundled model: whole-model divergence and chrF on the test split.

At each average the rival gives every layer the same width; at half bits every second layer has the upper one, and it never has fewer
weight bytes than what is chosen. Chosen are the widths of least summed sensitivity ("once"), and those after the solver's choices were
measured and solved again ("again"), on the analysis split alone. Divergences are measured on the test split, teacher-forced on
the uncompressed model's own hypotheses; texts are what the bundles themselves decode. Averages, rounds and utterances are fixed here, and
nothing is chosen by what the test split says. What is computed stays in `build/bench_bits`, so a run that was stopped goes on.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from paredown.analysis.allocation_kl import AllocationMeter
from paredown.analysis.kl import measure_kl
from paredown.analysis.resolved import Resolved
from paredown.analysis.result import WIDTHS, Analysis
from paredown.analysis.stages import Sample
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.quality import score
from paredown.space.axes.bits import BitsAxis, Table
from paredown.space.configuration import Configuration
from paredown.space.cost import layer_bytes
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length
from paredown.trials.resolving import Truth, solve_again
from paredown.trials.sensitivity import read_samples
from paredown.trials.workshop import Workshop
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.decodings import told
from tests.benchmarks.pooled import pooled_difference

MODEL = "bundled:tatoeba-en-de"
AVERAGES = (2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
LOW_BITS = 4.0  # chrF is pooled over the averages up to this
MANUAL_BITS, MANUAL_AVERAGE = (2, 6), 2.5  # 2.6 bits: the encoder's first and last blocks wide, the rest narrow; beside 2.5 chosen
TABLE_UTTERANCES, ROUND_UTTERANCES, ROUNDS = 60, 20, 1
FOLDER = Path("build/bench_bits")


@dataclass(frozen=True)
class Setting:
    """How much is heard. `utterances` of the test split (None: all), those of the analysis split for the table and for the rounds."""

    split: str
    utterances: int | None
    table_utterances: int
    round_utterances: int
    rounds: int


class Kept:
    """Figures of one model on disk, by what they are of."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder = folder / model.digest[:12]
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, *key: object) -> Path:
        """The file of this key, without its suffix."""
        return self.folder / hashlib.sha256(repr(key).encode()).hexdigest()[:24]

    def value(self, compute: Callable[[], Any], *key: object) -> Any:
        """A JSON value, computed where it is not there."""
        path = self.path(*key).with_suffix(".json")
        if not path.exists():
            found = json.dumps({"key": repr(key), "value": compute()})
            path.write_text(found)
        return json.loads(path.read_text())["value"]


class Bench:
    """The model, its splits and everything measured of it so far."""

    def __init__(self, model: Model, setting: Setting, workshop: Workshop, decoder: Decoder, kept: Kept) -> None:
        self.model, self.setting, self.workshop, self.decoder, self.kept = model, setting, workshop, decoder, kept
        self.inventory = model.inventory()
        self.paths = tuple(layer.path for layer in self.inventory.layers)
        split = open_data(f"{MODEL}/{setting.split}")
        self.split = split if setting.utterances is None else spread_by_length(split, setting.utterances)
        self.references = self.split.references(model.task)

    def samples(self, split: Split) -> tuple[Sample, ...]:
        """Features, and the uncompressed model's own hypotheses, kept as ids."""
        path = self.kept.path("samples", split.digest).with_suffix(".npz")
        if not path.exists():
            found = read_samples(self.model, split, self.workshop, self.decoder)
            arrays = {f"f{i}": one.features for i, one in enumerate(found)} | {f"t{i}": np.array(one.tokens) for i, one in enumerate(found)}
            np.savez(path, **arrays)
        with np.load(path) as arrays:
            return tuple(Sample(arrays[f"f{i}"], tuple(arrays[f"t{i}"].tolist())) for i in range(len(split)))

    def heard(self, utterances: int) -> tuple[Sample, ...]:
        """So many utterances of the analysis split."""
        return self.samples(spread_by_length(open_data(f"{MODEL}/analysis"), utterances))

    def table(self) -> Table:
        """The additive sensitivities."""
        count = self.setting.table_utterances
        path = self.kept.path("table", count).with_suffix(".npz")
        if not path.exists():
            found = measure_kl(
                self.model.network, self.paths, self.heard(count), self.model.sos, threads=self.decoder.workers, progress=tick
            )
            Analysis(self.paths, found, {}, f"{count} utterances", 0.0).save(path)
        return Analysis.load(path).kl

    def choose(self, average: float) -> Callable[[Table], Mapping[str, int]]:
        """The axis itself, by whatever table."""

        def solved(table: Table) -> Mapping[str, int]:
            axis = BitsAxis(self.inventory, self.paths, WIDTHS, table, WIDTHS[0], WIDTHS[-1])
            return axis.resolve({"bits.average": average}, Configuration()).bits_of

        return solved

    def resolved(self, average: float) -> Resolved:
        """What is chosen at an average, once and again."""
        setting = self.setting
        path = self.kept.path("resolved", average, setting.table_utterances, setting.round_utterances, setting.rounds).with_suffix(".npz")
        if not path.exists():
            samples, judges = self.heard(setting.round_utterances), self.heard(setting.table_utterances)
            truth = Truth(self.model.network, samples, judges, self.model.sos, threads=self.decoder.workers, progress=tick)
            solve_again(self.table(), self.paths, WIDTHS, average, self.choose(average), truth, setting.rounds).save(path)
        return Resolved.load(path)

    def weight_bytes(self, bits: Mapping[str, int]) -> int:
        """Stored bytes of all layers, scales included."""
        return sum(layer_bytes(self.inventory.by_path[path], width) for path, width in bits.items())

    def uniform(self, average: float, at_least: int) -> dict[str, int]:
        """The rival: one width, or two in turn; where that takes fewer bytes than `at_least`, more layers have the upper one."""
        lower, upper = int(average), int(np.ceil(average))
        halves = [{path: (upper if index % 2 == turn else lower) for index, path in enumerate(self.paths)} for turn in (0, 1)]
        bits = max(halves, key=self.weight_bytes)
        for path in self.paths:
            if self.weight_bytes(bits) >= at_least:
                break
            bits[path] = upper
        return bits

    def manual(self) -> dict[str, int]:
        """The paper's system 5 in kind: the encoder's first and last blocks wide."""
        narrow, wide = MANUAL_BITS
        ends = tuple(f"encoder.encoders.{block}." for block in (0, dict(self.inventory.blocks)["encoder"] - 1))
        return {path: wide if path.startswith(ends) else narrow for path in self.paths}

    def divergence(self, bits: Mapping[str, int]) -> float:
        """Of the whole model, on the split."""

        def measured() -> float:
            return self._meter.divergence(bits)

        return float(self.kept.value(measured, "divergence", self.split.digest, sorted(bits.items())))

    def texts(self, bits: Mapping[str, int]) -> list[str]:
        """What the bundle of these widths decodes."""
        configuration = Configuration(bits=tuple(bits.items()), decode=self._decode)

        def decoded() -> list[str]:
            found = [hypothesis.text for hypothesis in self.decoder.decode(self.workshop.build(configuration), self.split)]
            self.workshop.discard(configuration)
            return found

        return list(self.kept.value(decoded, "texts", self.split.digest, configuration.digest))

    @cached_property
    def _meter(self) -> AllocationMeter:
        return AllocationMeter(self.model.network, self.samples(self.split), self.model.sos, threads=self.decoder.workers)

    @property
    def _decode(self) -> Any:
        from paredown.models.decode import default_decode

        return default_decode(self.model)

    def chrf(self, bits: Mapping[str, int]) -> float:
        """Corpus score."""
        return score("chrf", self.texts(bits), self.references).value


def tick(done: int, total: int) -> None:
    """A dot now and then, for a run of many minutes."""
    if done % 40 == 0 or done == total:
        print(f"    {done} of {total} layers", flush=True)


def run(bench: Bench) -> None:
    """Print a line for each average, then the bars."""
    bars, pairs = [], []
    for average in AVERAGES:
        found = bench.resolved(average)
        once, again = (dict(zip(bench.paths, attempt.bits, strict=True)) for attempt in (found.attempts[0], found.best))
        rival = bench.uniform(average, bench.weight_bytes(again))
        assert bench.weight_bytes(again) <= bench.weight_bytes(rival)
        kl = {name: bench.divergence(bits) for name, bits in (("once", once), ("again", again), ("uniform", rival))}
        megabytes = f"{bench.weight_bytes(again) / 1e6:.3f} MB, uniform {bench.weight_bytes(rival) / 1e6:.3f} MB"
        print(f"{average} bits: {megabytes}; analysis: predicted {found.attempts[0].predicted:.4g}", end="")
        print(f", measured once {found.attempts[0].measured:.4g}, again {found.best.measured:.4g} ({found.best.how})")
        print(f"  {bench.setting.split}: divergence " + ", ".join(f"{name} {value:.4g}" for name, value in kl.items()), flush=True)
        bars.append(
            Bar(f"{average} bits: divergence on {bench.setting.split}, chosen / uniform", kl["again"] / kl["uniform"], 1.0, at_least=False)
        )
        bars.append(
            Bar(
                f"{average} bits: the same on analysis (by construction), again / once",
                found.best.measured / found.attempts[0].measured,
                1.0,
                False,
            )
        )
        bars.append(
            Bar(f"{average} bits: divergence on {bench.setting.split}, again / once", kl["again"] / kl["once"], 1.0, at_least=False)
        )
        if average <= LOW_BITS:
            pairs.append((bench.texts(again), bench.texts(rival)))
            print(f"  chrF chosen {bench.chrf(again):.2f}, uniform {bench.chrf(rival):.2f}", flush=True)
        if average == MANUAL_AVERAGE:
            chosen, manual = bench.chrf(again), bench.chrf(bench.manual())
            print(f"  chrF of manual 2.6 bits ({bench.weight_bytes(bench.manual()) / 1e6:.3f} MB) {manual:.2f}", flush=True)
            bars.append(Bar("2.5 bits chosen minus 2.6 bits by hand", chosen - manual, 0.0, unit="chrF"))
    pooled = pooled_difference("chrf", pairs, bench.references)
    print(f"chosen minus uniform, averages up to {LOW_BITS:g} pooled: {told(pooled)}")
    bars.append(Bar("lower end of that interval", pooled.ci95[0], 0.0, unit="chrF"))
    print_bars(f"bit-widths, {len(bench.split)} utterances of {bench.setting.split}", bars)


def main() -> None:
    """Measure what is not there yet and print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test", help="the bars belong to test")
    parser.add_argument("--quick", action="store_true", help="a few utterances, no bars: whether it runs")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of solving again (the bars belong to {ROUNDS})")
    parser.add_argument("--workers", type=int, help="processes and threads (default: one for each core)")
    options, _ = parser.parse_known_args()
    setting = Setting(options.split, None, TABLE_UTTERANCES, ROUND_UTTERANCES, options.rounds)
    if options.quick:
        setting = Setting("search", 8, 2, 2, 1)
    model = load_model(MODEL)
    with ExitStack() as stack:
        workshop, decoder = stack.enter_context(Workshop(model)), stack.enter_context(Decoder(options.workers))
        run(Bench(model, setting, workshop, decoder, Kept(FOLDER, model)))


if __name__ == "__main__":
    main()
