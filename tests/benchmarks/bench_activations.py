"""Static beside dynamic activations: quality, latency, and whether utterances of a batch change each other; the bundled model in int8.

Bundles of 8 and of 4 bits, as `paredown convert --bits N --activations dynamic|static` writes them; ranges are heard on the analysis
split, and all configurations were fixed before anything was decoded. Quality is of the whole split, utterance by utterance, differences
paired with 95 % bootstrap intervals over utterances. Latency is of a fixed number of tokens, both interleaved in random order. What to
expect: a static product spares a pass over its input to find the range, so that latency hardly differs; what it buys are results that
hardly depend on what else is in the call.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from paredown.bundle import write_bundle
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.profilers.machine_load import MachineWatch
from paredown.profilers.size import measure_size
from paredown.quality import paired_difference, score
from paredown.runtime import Translator
from paredown.runtime.audio import read_audio
from paredown.space.configuration import Activations
from paredown.trials.conversion import configured
from paredown.trials.decoding import Decoder
from paredown.trials.preparing import prepare
from tests.benchmarks.candidates import Bundle
from tests.benchmarks.interleave import ratio, time_interleaved
from tests.benchmarks.machine_watch import tell_others

MODEL = "bundled:tatoeba-en-de"
BITS = (8, 4)
KINDS: tuple[Activations, ...] = ("dynamic", "static")
TOKENS = 14
BATCH, NBEST = 8, 10
Subject = tuple[int, Activations]
SUBJECTS: tuple[Subject, ...] = tuple(product(BITS, KINDS))


def build(model: Model, subject: Subject, analysis: Split, folder: Path) -> Path:
    """The bundle of one bit-width; says which layers fell back, if any did."""
    bits, activations = subject
    configuration = configured(model, bits)
    prepared = prepare(model, replace(configuration, scheme=replace(configuration.scheme, activations=activations)), analysis)
    bundle = write_bundle(model, prepared.compressed, folder / f"{bits}-{activations}")
    print(f"  {bits} bits, {activations}: {measure_size(bundle).size_bytes / 1e6:.3f} MB; {'; '.join(prepared.lines)}", flush=True)
    return bundle


def compare_quality(bundles: Mapping[Subject, Path], split: Split, task: str, workers: int | None) -> None:
    """chrF of every bundle, and what static activations change."""
    texts, references = {}, split.references(task)
    with Decoder(workers) as decoder:
        for subject, bundle in bundles.items():
            texts[subject] = [hypothesis.text for hypothesis in decoder.decode(bundle, split)]
            print(f"  {subject[0]} bits, {subject[1]:8s} chrF {score('chrf', texts[subject], references).value:.2f}", flush=True)
    for bits in BITS:
        static, dynamic = texts[bits, "static"], texts[bits, "dynamic"]
        found = paired_difference("chrf", static, dynamic, references)
        same = sum(one == other for one, other in zip(static, dynamic, strict=True))
        low, high = found.ci95
        print(
            f"  {bits} bits, static minus dynamic {found.value:+.2f} chrF [{low:+.2f}, {high:+.2f}]; {same} of {len(static)} texts the same"
        )


def compare_latency(bundles: Mapping[Subject, Path], waveforms: Sequence[np.ndarray], repeats: int, threads: int) -> None:
    """Milliseconds of the stages, and the ratio of static to dynamic."""
    candidates = {f"{bits} {kind}": Bundle.of(bundles[bits, kind], threads) for bits, kind in bundles}
    timed = time_interleaved(candidates, waveforms, TOKENS, repeats, np.random.default_rng(0))
    for bits in BITS:
        static, dynamic = timed[f"{bits} static"], timed[f"{bits} dynamic"]
        for stage in ("encoder_ms", "search_ms", "total_ms"):
            found = ratio(static.samples[stage], dynamic.samples[stage])
            print(
                f"  {bits} bits, {stage:10s} {static.median_ms(stage):7.2f} static, {dynamic.median_ms(stage):7.2f} dynamic; ratio {found}"
            )


def compare_batches(bundles: Mapping[Subject, Path], split: Split, utterances: int) -> None:
    """How many utterances have the same hypotheses, and the same scores to the last bit, in a batch as alone."""
    audios = [utterance.audio for utterance in split.utterances[:utterances]]
    for (bits, kind), bundle in bundles.items():
        translator = Translator.from_bundle(bundle)
        alone = [translator.translate(audio, nbest=NBEST) for audio in audios]
        together = translator.translate_batch(audios, BATCH, nbest=NBEST, approximate=True)
        pairs = list(zip(alone, together, strict=True))
        best = sum(one.ids == other.ids for one, other in pairs)
        scores = sum(one.score == other.score for one, other in pairs)
        moved = max(abs(one.score - other.score) for one, other in pairs)
        print(
            f"  {bits} bits, {kind:8s} of {len(pairs)} utterances {best} have the same best hypothesis in a batch of {BATCH}, "
            f"{scores} the same score; it moves by {moved:.2g} at most",
            flush=True,
        )


def main() -> None:
    """All parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test")
    parser.add_argument("--workers", type=int, help="processes that decode for quality (default: one for each core)")
    parser.add_argument("--threads", type=int, default=1, help="threads of what is timed")
    parser.add_argument("--quick", action="store_true", help="few utterances; the figures mean little")
    options, _ = parser.parse_known_args()
    model, split, analysis = load_model(MODEL), open_data(f"{MODEL}/{options.split}"), open_data(f"{MODEL}/analysis")
    count, repeats, batched = (2, 2, 8) if options.quick else (24, 10, len(split))
    print(f"{MODEL}, {options.split}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bundles = {subject: build(model, subject, analysis, Path(folder)) for subject in SUBJECTS}
        if not options.quick:
            compare_quality(bundles, split, model.task, options.workers)
        watch = MachineWatch.now()
        waveforms = [read_audio(utterance.audio, model.frontend.sample_rate_hz) for utterance in split.utterances[:count]]
        compare_latency(bundles, waveforms, repeats, options.threads)
        print(tell_others(watch, "latency"))
        compare_batches(bundles, split, batched)


if __name__ == "__main__":
    main()
