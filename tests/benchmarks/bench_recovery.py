"""What training wins back, on the bundled model: blocks removed and distilled, adapters, low bits trained and not, and "no loss" confirmed.

- Two of the decoder's six blocks go (those that the greedy order by chrF on analysis removes first); then all weights are distilled, or
  adapters of rank 64 are. Bars on test: at least 80 and 70 % of the lost chrF.
- Quantization-aware training beside calibrated post-training quantization at 4, 3 and 2 bits. Bars on test: significantly better at 3 and
  2, not worse at 4 (lower end of the paired 95 % interval at or above -0.5 chrF).
- The recovered models from mild to aggressive: those within the margin on *search* are confirmed on *test*, each once, in that order, until
  the first fails. Bars: 12x nominal bits and 8x bundle bytes; to beat: 16.2x and 16.6x nominal bits.
- The first paper's pipeline (its Table 4 as corrected, int8) beside what was recovered, at no more bundle bytes and no more latency.

Configurations are fixed in `tests/benchmarks/recoveries.py`. Needs the recipe's train split: `python -m studies.bundled_model.train_split`.
Recoveries are kept in the user's cache and hypotheses in `build/bench_recovery`, so a run that was stopped goes on. About two hours of two
cores from nothing.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paredown.analysis.kl import measure_kl
from paredown.analysis.result import Analysis
from paredown.commands.telling import Telling
from paredown.data import Split, open_data
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.profilers.latency import STRICT
from paredown.profilers.size import Ratios, measure_ratios, measure_size
from paredown.quality.judgement import NonInferiority, non_inferiority
from paredown.quality.significance import dagger
from paredown.space.axes.bits import Table
from paredown.space.configuration import Configuration
from paredown.trials.calibrating import calibrate_workshop
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.recoveries import Recovery
from paredown.trials.sensitivity import read_samples
from paredown.trials.timing import REFERENCE, Stopwatch, Timed
from paredown.trials.workshop import Workshop
from tests.benchmarks.bars import Bar, print_bars
from tests.benchmarks.bench_bits import FOLDER, TABLE_UTTERANCES, Kept, tick
from tests.benchmarks.decodings import Decodings, told
from tests.benchmarks.interleave import Ratio
from tests.benchmarks.recoveries import AVERAGE, LOWER, TRAIN, Recoveries, open_training_data
from tests.space.test_groups import TABLE_4

MODEL = "bundled:tatoeba-en-de"
MARGIN = 1.0  # chrF
KEPT = Path("build/bench_recovery")
PARTS = ("layers", "bits", "lossless", "pipeline")
FIXED_TOKENS, TIMED = 16, 24


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything the parts need."""

    model: Model
    made: Recoveries
    workshop: Workshop
    search: Decodings
    test: Decodings

    def difference(self, candidate: Configuration, other: Configuration) -> tuple[float, float, str]:
        """The candidate's chrF minus the other's on test: value, lower end of the 95 % interval, both in words."""
        found = self.test.difference(candidate, other)
        return found.value, found.ci95[0], told(found)

    def size(self, configuration: Configuration) -> tuple[int, Ratios]:
        """Bytes of the bundle, and how many times smaller than fp32 it is."""
        bundle = self.workshop.build(configuration)
        found = measure_size(bundle).size_bytes, measure_ratios(bundle, self.model.inference_parameters)
        self.workshop.discard(configuration)
        return found


def find_table(model: Model, workshop: Workshop, decoder: Decoder) -> Table:
    """Sensitivities of all layers on the analysis split; the same that `bench_bits` keeps."""
    path = Kept(FOLDER, model).path("table", TABLE_UTTERANCES).with_suffix(".npz")
    if not path.exists():
        paths = tuple(layer.path for layer in model.inventory().layers)
        samples = read_samples(model, spread_by_length(open_data(f"{MODEL}/analysis"), TABLE_UTTERANCES), workshop, decoder)
        found = measure_kl(model.network, paths, samples, model.sos, threads=decoder.workers, progress=tick)
        Analysis(paths, found, {}, f"{TABLE_UTTERANCES} utterances", 0.0).save(path)
    return Analysis.load(path).kl


def layers(bench: Bench) -> None:
    """Blocks removed, then recovered."""
    whole, made = uncompressed(bench.model), bench.made
    lost = bench.test.chrf(whole) - bench.test.chrf(made.without_blocks)
    names = [block + 1 for block in range(6) if block not in dict(made.without_blocks.keep)["decoder"]]
    print(f"\ndecoder without blocks {names}: chrF {bench.test.chrf(whole):.2f} -> {bench.test.chrf(made.without_blocks):.2f}")
    bars = []
    for name, configuration, least in (("distilled", made.distilled, 80.0), ("LoRA, rank 64", made.adapted, 70.0)):
        won = 100 * (bench.test.chrf(configuration) - bench.test.chrf(made.without_blocks)) / lost
        _, _, beside = bench.difference(configuration, whole)
        print(f"  {name:14s} chrF {bench.test.chrf(configuration):.2f}, minus the whole model's {beside}", flush=True)
        bars.append(Bar(f"{name}: share of the lost chrF won back", won, least, unit="%"))
    print_bars("recovery of removed blocks", bars)


def bits(bench: Bench) -> None:
    """Trained with codes, beside calibrated without training."""
    made, bars = bench.made, []
    print(f"\nequal bits, chrF on test (fp32 {bench.test.chrf(uncompressed(bench.model)):.2f})")
    for width, trained, least in ((4, made.trained_4_bits, -0.5), (3, made.trained_3_bits, 0.0), (2, made.trained_2_bits, 0.0)):
        calibrated = made.uniform(width, "gptq")
        _, low, beside = bench.difference(trained, calibrated)
        scores = f"trained {bench.test.chrf(trained):.2f}, calibrated {bench.test.chrf(calibrated):.2f}"
        print(f"  {width} bits: {scores}   {beside}", flush=True)
        bars.append(Bar(f"{width} bits: trained minus calibrated, lower end", low, least, unit=""))
    print_bars("quantization-aware training", bars)
    _, _, beside = bench.difference(made.longer_4_bits, made.uniform(4, "gptq"))
    print(f"  4 bits trained longer (held to no bar: added after the bars were read): {bench.test.chrf(made.longer_4_bits):.2f}   {beside}")


def lossless(bench: Bench) -> None:
    """Chosen on search, confirmed on test in a fixed order, stopping at the first failure."""
    made, whole = bench.made, uncompressed(bench.model)
    ladder = [("4 bits", made.trained_4_bits), ("3 bits", made.trained_3_bits)]
    ladder += [(f"{AVERAGE:g} bits", made.trained_mixed), (f"{LOWER:g} bits", made.trained_lower)]
    ladder += [("2 bits", made.trained_2_bits), ("2 bits, narrow", made.trained_narrow)]
    print(f"\nwithout loss: margin {MARGIN:g} chrF, one-sided 95 % bound of the paired loss; chosen on search, confirmed on test")
    best, stopped = None, False
    for name, configuration in ladder:
        chosen = judge(bench.search, configuration, whole)
        size_bytes, ratios = bench.size(configuration)
        ways = {"nominal bits": ratios.nominal_bits, "weight bytes": ratios.weight_bytes, "bundle bytes": ratios.bundle_bytes}
        figures = ", ".join(f"{ratio:.1f}x {way}" for way, ratio in ways.items())
        print(f"  {name:14s} {size_bytes / 1e6:.2f} MB, {figures}\n    search: {told_judgement(chosen)}")
        if chosen.loss >= MARGIN:
            print("    not chosen: it loses more than the margin on search")
            continue
        if stopped:
            print("    test: not looked at, a milder one failed")
            continue
        confirmed = judge(bench.test, configuration, whole)
        print(f"    test: {told_judgement(confirmed)}\n    {sign(bench.test, configuration, whole)}", flush=True)
        stopped = not confirmed.passed
        best = best if stopped else ratios
    reason = "nothing was confirmed"
    nominal = Bar("largest ratio without loss, nominal bits", best.nominal_bits if best else None, 12.0, reason=reason)
    print_bars("no loss", (nominal, Bar("the same, bundle bytes", best.bundle_bytes if best else None, 8.0, reason=reason)))


def judge(decodings: Decodings, candidate: Configuration, whole: Configuration) -> NonInferiority:
    """Non-inferiority of a configuration to the uncompressed model."""
    references = decodings.split.references("st")
    return non_inferiority("chrf", decodings.texts(candidate), decodings.texts(whole), references, MARGIN)


def sign(decodings: Decodings, candidate: Configuration, whole: Configuration) -> str:
    """The papers' column: no significant difference."""
    found = dagger("chrf", decodings.texts(candidate), decodings.texts(whole), decodings.split.references("st"))
    low, high = found.ci95
    verdict = "no significant difference" if found.p_value >= 0.05 else "significant"
    return f"{found.test}: {found.effect:+.2f} [{low:+.2f}, {high:+.2f}], p {found.p_value:.3f}: {verdict}"


def told_judgement(found: NonInferiority) -> str:
    """The loss, its bound and what the test could have seen."""
    verdict = "within the margin" if found.passed else "not shown to be within the margin"
    figures = f"loss {found.loss:+.2f}, at most {found.upper95:.2f}"
    return f"{figures} ({found.utterances} utterances, smallest visible {found.smallest_visible:.2f}): {verdict}"


def pipeline(bench: Bench) -> None:
    """The first paper's way beside ours, at its bytes and its latency."""
    made = bench.made
    theirs = replace(made.uniform(8), sparsity=tuple(sorted(TABLE_4.items())))
    their_bytes, _ = bench.size(theirs)
    fits = [each for each in (made.trained_4_bits, made.trained_3_bits, made.trained_mixed) if bench.size(each)[0] <= their_bytes]
    ours = fits[0]  # the mildest that is no larger
    faster = replace(ours, decode=replace(ours.decode, beam_size=5))
    print(f"\nthe first paper's pipeline: {their_bytes / 1e6:.2f} MB, chrF {bench.test.chrf(theirs):.2f}")
    bars = []
    for name, candidate in (("no more bytes", ours), ("no more latency", faster)):
        _, low, beside = bench.difference(candidate, theirs)
        size = f"{bench.size(candidate)[0] / 1e6:.2f} MB"
        print(f"  {name}: {size}, chrF {bench.test.chrf(candidate):.2f}, minus theirs {beside}", flush=True)
        bars.append(Bar(f"{name}: chrF minus theirs, lower end", low, 0.0, unit=""))
    free, fixed = time_beside(bench.workshop, faster, theirs, spread_by_length(bench.test.split, TIMED))
    bars.append(Bar("latency of the second, ours over theirs, decoded to the end", free, 1.0, at_least=False))
    bars.append(Bar(f"the same, {FIXED_TOKENS} tokens", fixed, 1.0, at_least=False))
    print_bars("beside the first paper's pipeline", bars)


def time_beside(workshop: Workshop, candidate: Configuration, other: Configuration, split: Split) -> tuple[Ratio, Ratio]:
    """Latency of one bundle over another's, side by side on one thread: as they decode, and at a fixed number of tokens."""
    with Stopwatch(1) as stopwatch:
        timed = {REFERENCE: Timed(workshop.build(other)), "candidate": Timed(workshop.build(candidate))}
        found = stopwatch.time(timed, split, STRICT, fixed_tokens=FIXED_TOKENS, seed=0)["candidate"]
    assert found.fixed is not None
    return Ratio(found.free.ratio, *found.free.ratio_ci95), Ratio(found.fixed.ratio, *found.fixed.ratio_ci95)


def main() -> None:
    """Train what is not there yet, then decode and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps, 12 utterances: says only that it runs")
    options, _ = parser.parse_known_args()
    try:
        data = open_training_data()
    except BadInput as reason:
        print(f"not run: {TRAIN} must hold the recipe's train split ({reason})")
        return
    model = load_model(MODEL)
    splits: Sequence[Split] = [open_data(f"{MODEL}/{name}") for name in ("search", "test", "analysis")]
    search, test, analysis = (split.first(12) for split in splits) if options.quick else splits
    with Decoder() as decoder, Telling() as tell, Workshop(model, Recovery(data, tell)) as workshop:
        made = Recoveries(model, data.digest, find_table(model, workshop, decoder), 0.01 if options.quick else 1.0)
        if "bits" in options.parts:
            calibrate_workshop(workshop, None, analysis, decoder, tell)
        bench = Bench(model, made, workshop, *(Decodings(workshop, decoder, split, KEPT) for split in (search, test)))
        for part in options.parts:
            {"layers": layers, "bits": bits, "lossless": lossless, "pipeline": pipeline}[part](bench)


if __name__ == "__main__":
    main()
