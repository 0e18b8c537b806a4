"""What shows in latency and what in bytes alone: structured changes beside sparsity and bit-widths, at a fixed number of tokens.

6 s of audio, the same number of tokens for all, in random order next to each other. Of the bundled model, and of the first paper's shape
with random weights (at the same number of tokens a random model takes as long as a trained one). Reference: everything at 8 bits, kernel
int8. A second load of it stands among the candidates: what its ratio is away from 1 is what no change explains.
All figures are of this machine: leave it alone meanwhile.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, TOKENS, BEAM = 6.0, 20, 10
REPEATS, QUICK = 40, 3
REFERENCE, SAME, EVERYTHING = "8 bits", "8 bits again", "all four together"
STRUCTURED = ("4 of 6 decoder blocks", "widths halved", "rank 40", "half of the heads")
UNSTRUCTURED = ("sparsity 50 %", "4 bits")
HOPS = {"hop 160": None, "hop 250": 250}
SHAPES = ("bundled", "paper")
MOST_STRUCTURED, MOST_HOP, MOST_AWAY = 1.0, 0.75, 0.03


def draw_candidates(model: Any) -> Iterator[tuple[str, Any]]:
    """Names and configurations."""
    from paredown.space.axes.layers import is_kept
    from paredown.space.configuration import Configuration, Input

    inventory = model.inventory()
    paths = [layer.path for layer in inventory.layers]
    plain = Configuration(bits=tuple((path, 8) for path in paths))
    groups = [group for group in inventory.groups if group != "ctc"]
    blocks = dict(inventory.blocks)["decoder"]
    keep = (("decoder", tuple(index for index in range(blocks) if index not in (blocks // 2 - 1, blocks // 2))),)
    kept = tuple((path, 8) for path in paths if is_kept(path, Configuration(keep=keep)))
    parts = {
        STRUCTURED[0]: {"keep": keep, "bits": kept},
        STRUCTURED[1]: {"width": tuple((path, units // 2) for path, units in inventory.feed_forwards.items())},
        STRUCTURED[2]: {"rank": tuple((f"{path}.w_{part}", 40) for path in inventory.feed_forwards for part in (1, 2))},
        STRUCTURED[3]: {"heads": tuple((path, tuple(range(heads // 2))) for path, heads in inventory.heads)},
    }
    together = {name: tuple(value) for part in parts.values() for name, value in part.items()}
    for name in ("width", "rank", "heads"):
        together[name] = tuple(entry for entry in together[name] if is_kept(entry[0], Configuration(keep=keep)))
    yield REFERENCE, plain
    yield SAME, plain
    yield from ((name, replace(plain, **part)) for name, part in parts.items())  # type: ignore[arg-type]
    yield EVERYTHING, replace(plain, **together)
    yield UNSTRUCTURED[0], replace(plain, sparsity=tuple((group, 0.5) for group in groups))
    yield UNSTRUCTURED[1], replace(plain, bits=tuple((path, 4) for path in paths))
    yield from ((name, replace(plain, input=Input(hop))) for name, hop in HOPS.items())


def load_shape(name: str, folder: Path) -> Any:
    from paredown.models import load_model
    from tests.benchmarks.first_paper import write_first_paper_model

    return load_model("bundled:tatoeba-en-de" if name == "bundled" else write_first_paper_model(folder / "checkpoint"))


def run_shape(name: str, repeats: int, threads: int, folder: Path) -> list[Any]:
    """Times all candidates of one shape, prints them, and judges."""
    from paredown.bundle import write_bundle
    from paredown.compress.network import compress_model
    from paredown.profilers.size import measure_size
    from tests.benchmarks.candidates import Bundle
    from tests.benchmarks.first_paper import make_waveform
    from tests.benchmarks.interleave import time_interleaved

    model, memo = load_shape(name, folder), {}
    candidates, sizes_mb = {}, {}
    for number, (what, configuration) in enumerate(draw_candidates(model)):
        bundle = write_bundle(model, compress_model(model, configuration, memo), folder / str(number))
        candidates[what], sizes_mb[what] = Bundle.of(bundle, threads).with_beam(BEAM), measure_size(bundle).size_bytes / 1e6
    timed = time_interleaved(candidates, [make_waveform(SECONDS)], TOKENS, repeats, np.random.default_rng(0))
    tell(f"{name}: {SECONDS:g} s, {TOKENS} tokens, beam {BEAM}, {threads} threads, {repeats} rounds", timed, sizes_mb)
    return judge(name, timed)


def tell(title: str, timed: Mapping[str, Any], sizes_mb: Mapping[str, float]) -> None:
    from tests.benchmarks.interleave import ratio

    print(f"\n{title}\n  {'':24s}{'MB':>8s}{'encoder':>10s}{'search':>10s}{'total':>10s} ms   total / {REFERENCE}")
    for what, found in timed.items():
        stages = "".join(f"{found.median_ms(stage):10.1f}" for stage in ("encoder_ms", "search_ms", "total_ms"))
        against = ratio(found.samples["total_ms"], timed[REFERENCE].samples["total_ms"])
        print(f"  {what:24s}{sizes_mb[what]:8.2f}{stages}      {against}")


def judge(name: str, timed: Mapping[str, Any]) -> list[Any]:
    """Structured changes are faster by more than chance, unstructured ones as fast but for a few percent; the longer hop at the encoder."""
    from tests.benchmarks.bars import Bar
    from tests.benchmarks.interleave import ratio

    def against(what: str, reference: str, stage: str = "total_ms") -> Any:
        return ratio(timed[what].samples[stage], timed[reference].samples[stage])

    faster = [
        Bar(f"{name}: {what}, upper end", against(what, REFERENCE).high, MOST_STRUCTURED, False) for what in (*STRUCTURED, EVERYTHING)
    ]
    equal = [Bar(f"{name}: {what}, away from 1", abs(against(what, REFERENCE).value - 1), MOST_AWAY, False, "") for what in UNSTRUCTURED]
    return [*faster, *equal, Bar(f"{name}: encoder at hop 250", against("hop 250", "hop 160", "encoder_ms"), MOST_HOP, False)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds instead of {REPEATS}: no judgement to rely on")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--threads", type=int, default=2)
    options, _ = parser.parse_known_args(arguments)
    from paredown.profilers.machine_load import MachineWatch
    from tests.benchmarks.bars import print_bars
    from tests.benchmarks.machine_watch import tell_others

    bars = []
    for name in options.shapes:
        watch = MachineWatch.now()
        with tempfile.TemporaryDirectory() as folder:
            bars += run_shape(name, QUICK if options.quick else REPEATS, options.threads, Path(folder))
        print(tell_others(watch, name), flush=True)
    print_bars("structured and unstructured changes", bars)


if __name__ == "__main__":
    main()
