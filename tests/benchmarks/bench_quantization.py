"""What quantization costs the bundled model: bundles of 8 bits beside fp32, and calibrated codes beside the nearest ones at 4, 3 and 2.

Every bundle decodes the test split itself, utterance by utterance. The configurations were fixed before anything was decoded, and nothing
is chosen by what they score: all layers at one bit-width, as `paredown convert --bits N [--method gptq]` writes them. Calibration
hears the analysis split. Differences are paired, with 95 % bootstrap intervals over utterances; they belong to this machine's int8
products (`paredown doctor` names them).
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from paredown.bundle import write_bundle
from paredown.data import Split, open_data
from paredown.models import Model, load_model
from paredown.profilers.size import measure_size
from paredown.quality import paired_difference, score
from paredown.space.configuration import Method
from paredown.trials.conversion import configured
from paredown.trials.decoding import Decoder
from paredown.trials.preparing import prepare

MODEL = "bundled:tatoeba-en-de"
FP32_BITS, MOST_LOSS_CHRF = 32, 0.3
Subject = tuple[int, Method]
METHODS: tuple[Method, ...] = ("rtn", "gptq")
FP32: Subject = (FP32_BITS, "rtn")
SUBJECTS: tuple[Subject, ...] = (FP32, (8, "rtn"), *((bits, method) for bits in (4, 3, 2) for method in METHODS))


def build(model: Model, subject: Subject, analysis: Split, folder: Path) -> Path:
    """The bundle of one bit-width and method; says which layers fell back, if any did."""
    bits, method = subject
    configuration = configured(model, bits)
    prepared = prepare(model, replace(configuration, scheme=replace(configuration.scheme, method=method)), analysis)
    for line in prepared.lines:
        print(f"  {bits} bits, {method}: {line}", flush=True)
    return write_bundle(model, prepared.compressed, folder / f"{bits}-{method}")


def decode(model: Model, split: Split, subjects: Sequence[Subject], workers: int | None) -> dict[Subject, list[str]]:
    """What every subject translates the split to."""
    texts, references, analysis = {}, split.references(model.task), open_data(f"{MODEL}/analysis")
    with tempfile.TemporaryDirectory() as folder:
        bundles = {subject: build(model, subject, analysis, Path(folder)) for subject in subjects}
        with Decoder(workers) as decoder:
            for subject, bundle in bundles.items():
                texts[subject] = [hypothesis.text for hypothesis in decoder.decode(bundle, split)]
                found, size_mb = score("chrf", texts[subject], references, interval=True), measure_size(bundle).size_bytes / 1e6
                low, high = found.ci95 or (found.value, found.value)
                name = "fp32" if subject == FP32 else f"{subject[0]} bits, {subject[1]}"
                print(f"  {name:14s} chrF {found.value:.2f} [{low:.2f}, {high:.2f}]   {size_mb:.2f} MB", flush=True)
    return texts


def compare(texts: Mapping[Subject, Sequence[str]], references: Sequence[str]) -> list[str]:
    """A line for each difference; those that are held to a bar say whether it is met."""
    lines = []

    def tell(what: str, candidate: Subject, reference: Subject, bar: float | None = None) -> None:
        found = paired_difference("chrf", texts[candidate], texts[reference], references)
        verdict = "" if bar is None else f"   above {bar:g}: {'met' if found.value > bar else 'missed'}"
        lines.append(f"  {what:24s} {found.value:+.2f} chrF [{found.ci95[0]:+.2f}, {found.ci95[1]:+.2f}]{verdict}")

    tell("8 bits minus fp32", (8, "rtn"), FP32, -MOST_LOSS_CHRF)
    for bits in (4, 3, 2):
        for method in METHODS:
            tell(f"{bits} bits, {method} minus fp32", (bits, method), FP32)
        tell(f"{bits} bits, gptq minus rtn", (bits, "gptq"), (bits, "rtn"), 0.0 if bits == 4 else None)
    return lines


def main() -> None:
    """Decode the split with every bundle, then print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test", help="the bars belong to test")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one for each core)")
    options, _ = parser.parse_known_args()
    model, split = load_model(MODEL), open_data(f"{MODEL}/{options.split}")
    print(f"{MODEL}, {len(split)} utterances of {options.split}")
    texts = decode(model, split, SUBJECTS, options.workers)
    print("\n".join(compare(texts, split.references(model.task))))


if __name__ == "__main__":
    main()
