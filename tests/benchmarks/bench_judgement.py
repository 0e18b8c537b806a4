"""How often the tests of "no difference" and "no loss" are wrong, on what bundles of the bundled model say; see `calibration.py`.

Systems: the uncompressed bundle, and all layers at 4 and at 3 bits (nearest codes), on the test split, in chrF and BLEU. MAPSSWE tests
the same of the ASR sibling, whose word errors have a margin too, of two made-up recognizers, and of words of the translations. Systems
that repeat themselves in 15 of 1,000 outputs are made from the uncompressed ones: losses of few utterances are what bounds are most
often wrong about. The bars: each test
rejects in 4 to 6 % under the null (2,000 trials, whose own standard error is 0.5 %), non-inferiority passes in at most 6 % at a true loss
equal to the margin (6,000 trials: the bound's own rate is near 5 %, and 2,000 of them put it beyond 6 % once in fifty times).
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from paredown.data import open_data
from paredown.models import load_model
from paredown.quality.judgement import loss_of
from paredown.quality.pairs import Pairs
from paredown.quality.resampling import DRAWS
from paredown.trials.conversion import configured
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.workshop import Workshop
from tests.benchmarks.calibration import (
    P_VALUES,
    bootstrap_t_bound,
    false_alarms,
    false_alarms_of_mapsswe,
    percentile_bound,
    wrongly_passed,
)
from tests.benchmarks.decodings import Decodings
from tests.benchmarks.recognizer import recognize, stuck

MODEL, SIBLING = "bundled:tatoeba-en-de", "bundled:tatoeba-en"
TRIALS, MARGIN_FACTOR, QUICK_TRIALS, QUICK_DRAWS, QUICK_UTTERANCES = 2000, 3, 100, 500, 40
LOW, HIGH = 4.0, 6.0
WIDTHS = (4, 3)
METRICS = ("chrf", "bleu")
PARTS = ("null", "mapsswe", "margin")
Systems = dict[str, list[str]]


def decode(name: str, split: str, quick: bool, workers: int | None, folder: Path | None) -> tuple[Systems, tuple[str, ...]]:
    """What the uncompressed bundle and those of fewer bits make of a split, and its references."""
    model, data = load_model(name), open_data(f"{name}/{split}")
    data = data.first(QUICK_UTTERANCES) if quick else data
    with Decoder(workers) as decoder, Workshop(model) as workshop:
        decodings = Decodings(workshop, decoder, data, folder)
        systems = {"fp32": decodings.texts(uncompressed(model))}
        systems |= {f"{bits} bits": decodings.texts(configured(model, bits)) for bits in WIDTHS}
    return systems, data.references(model.task)


def tell(what: str, percent: float, began: float, low: float = LOW) -> None:
    verdict = "met" if low <= percent <= HIGH else "missed"
    bound = f"{low:g} to {HIGH:g}" if low else f"at most {HIGH:g}"
    print(f"  {what:58s} {percent:5.2f} %   {bound} %: {verdict}   {time.monotonic() - began:.0f} s", flush=True)


def null(systems: Systems, references: Sequence[str], trials: int, draws: int) -> None:
    """Rejections of bootstrap and randomization where neither system is better."""
    print("\nneither system is better: rejected at alpha = 0.05")
    for metric in METRICS:
        for name in (f"{bits} bits" for bits in WIDTHS):
            pairs = Pairs.of(metric, systems[name], systems["fp32"], references)
            for test, p_value in P_VALUES.items():
                began = time.monotonic()
                tell(f"{test}, {metric}, {name} and fp32", false_alarms(pairs, p_value, trials, draws), began)


def mapsswe(systems: Systems, references: Sequence[str], recognized: Systems, said: Sequence[str], trials: int) -> None:
    """Rejections of MAPSSWE where neither system is better."""
    print("\nMAPSSWE, neither system is better: rejected at alpha = 0.05")
    pairs = {f"{SIBLING}, {bits} bits and fp32": (recognized[f"{bits} bits"], recognized["fp32"], said) for bits in WIDTHS}
    pairs["two made-up recognizers of the same English"] = (recognize(said, 0.08, seed=1), recognize(said, 0.08, seed=2), said)
    pairs[f"words of the translations, {WIDTHS[0]} bits and fp32"] = (systems[f"{WIDTHS[0]} bits"], systems["fp32"], references)
    for name, (first, second, expected) in pairs.items():
        began = time.monotonic()
        tell(name, false_alarms_of_mapsswe(first, second, expected, trials), began)


def margin(metric: str, systems: Systems, references: Sequence[str], trials: int, draws: int) -> None:
    """Non-inferiority that passes although the loss equals the margin."""
    for name in (*(f"{bits} bits" for bits in WIDTHS), "stuck"):
        pairs = Pairs.of(metric, systems[name], systems["fp32"], references)
        if not loss_of(pairs) > 0:
            print(f"  {metric}, {name}: not run (it loses nothing: {loss_of(pairs):+.3f})")
            continue
        began = time.monotonic()
        percent = wrongly_passed(pairs, bootstrap_t_bound, trials, draws)
        tell(f"{metric}, {name}, loss and margin {loss_of(pairs):.2f}", percent, began, low=0.0)
        if name == "stuck":
            print(
                f"    a plain percentile bound: {wrongly_passed(pairs, percentile_bound, trials, draws):.2f} % (for comparison)", flush=True
            )


def main() -> None:
    """Decode the systems, then try the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "search"), default="test", help="the bars belong to test")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one for each core)")
    parser.add_argument("--cache", type=Path, help="folder in which what bundles said stays")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_UTTERANCES} utterances: says only that it runs")
    options, _ = parser.parse_known_args()
    trials, draws = (QUICK_TRIALS, QUICK_DRAWS) if options.quick else (TRIALS, DRAWS)
    systems, references = decode(MODEL, options.split, options.quick, options.workers, options.cache)
    systems["stuck"] = stuck(systems["fp32"])
    print(f"{MODEL}, {len(references)} utterances of {options.split}; {trials} trials, {draws} draws a test")
    if "null" in options.only:
        null(systems, references, trials, draws)
    if "mapsswe" not in options.only and "margin" not in options.only:
        return
    recognized, said = decode(SIBLING, options.split, options.quick, options.workers, options.cache)
    recognized["stuck"] = stuck(recognized["fp32"])
    if "mapsswe" in options.only:
        mapsswe(systems, references, recognized, said, trials)
    if "margin" in options.only:
        trials, draws = MARGIN_FACTOR * trials, draws // 2
        print(f"\nthe true loss equals the margin: passed, of {trials} trials of {draws} draws")
        for metric in METRICS:
            margin(metric, systems, references, trials, draws)
        margin("wer", recognized, said, trials, draws)


if __name__ == "__main__":
    main()
