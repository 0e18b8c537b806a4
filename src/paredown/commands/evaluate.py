"""`paredown evaluate` and `paredown profile`: quality, latency and size of a bundle, or of a model as it is."""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, console, megabytes, positive, print_json, table
from paredown.errors import BadInput

if TYPE_CHECKING:
    from paredown.profilers.latency import Timing

EVALUATED = ("bleu", "chrf", "chrf++", "wer")


def add(subparsers: Any) -> None:
    evaluate = subparsers.add_parser("evaluate", help="BLEU, chrF, chrF++ and WER of a bundle or model, with intervals")
    evaluate.add_argument("subject", metavar="BUNDLE|MODEL")
    evaluate.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/SPLIT")
    evaluate.add_argument("--first", type=positive, metavar="N", help="only the first N utterances")
    evaluate.add_argument("--beam-size", type=positive)
    evaluate.add_argument("--workers", type=positive, help="processes that decode (default: one for each core)")
    evaluate.add_argument("--hypotheses", type=Path, metavar="FILE", help="write the hypotheses, one line each")
    add_json(evaluate)
    evaluate.set_defaults(run=run_evaluate)

    profile = subparsers.add_parser("profile", help="latency and size of a bundle or model on this machine")
    profile.add_argument("subject", metavar="BUNDLE|MODEL")
    profile.add_argument("--against", metavar="BUNDLE|MODEL", help="a reference, timed interleaved; ratios are taken to it")
    profile.add_argument("--data", default="bundled:tatoeba-en-de/search", metavar="DATA")
    profile.add_argument("--first", type=positive, default=32, metavar="N", help="only the first N utterances (default 32)")
    profile.add_argument("--repeats", type=positive, default=5)
    profile.add_argument("--threads", type=positive, default=1)
    profile.add_argument("--fixed-tokens", type=positive, default=16)
    profile.add_argument("--beam-size", type=positive)
    profile.add_argument("--seed", type=int, default=0)
    add_json(profile)
    profile.set_defaults(run=run_profile)


@contextmanager
def opened(subject: str) -> Iterator[Path]:
    """The bundle that the user names; a model is written as an uncompressed fp32 bundle into a temporary folder first."""
    folder = Path(subject)
    if (folder / "manifest.json").is_file():
        yield folder
        return
    if not (folder / "config.yaml").is_file() and not subject.startswith("bundled:"):
        raise BadInput(f"a bundle has a manifest.json and a model a config.yaml; {subject} has neither")
    from paredown.models import load_model
    from paredown.trials.evaluation import uncompressed
    from paredown.trials.workshop import Workshop

    with Workshop(load_model(subject)) as workshop:
        yield workshop.build(uncompressed(workshop.model))


def run_evaluate(options: argparse.Namespace) -> int:
    """Decode the split with the bundle itself and score the hypotheses."""
    from paredown.data import open_data
    from paredown.quality import score
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search

    split = open_data(options.data)
    split = split.first(options.first) if options.first else split
    if options.hypotheses and not options.hypotheses.parent.is_dir():
        raise BadInput(f"the folder of --hypotheses must exist, got {options.hypotheses}")
    with opened(options.subject) as bundle, Decoder(options.workers) as decoder:
        references = split.references(read_manifest(bundle).task)
        found = decoder.decode(bundle, split, Search(beam_size=options.beam_size))
    hypotheses = [hypothesis.text for hypothesis in found]
    if options.hypotheses:
        options.hypotheses.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8")
    scores = {metric: score(metric, hypotheses, references, interval=True) for metric in EVALUATED}
    capped = sum(hypothesis.hit_cap for hypothesis in found)
    if options.json:
        figures = {m: {"value": s.value, "ci95": s.ci95, "utterances": s.utterances, "signature": s.signature} for m, s in scores.items()}
        print_json({**figures, "utterances": len(split), "length_cap_hits": capped})
        return 0
    rows = ((s.metric, f"{s.value:.2f}", f"{s.ci95[0]:.2f} to {s.ci95[1]:.2f}" if s.ci95 else "", s.signature) for s in scores.values())
    caption = f"{len(split)} utterances of {split.name}; {capped} hit the length cap"
    console().print(table(options.subject, ("metric", "value", "95 % interval", "signature"), rows, caption))
    return 0


def run_profile(options: argparse.Namespace) -> int:
    """Time the bundle on this machine and count its bytes."""
    from paredown.data import open_data
    from paredown.profilers.fingerprint import read_fingerprint
    from paredown.profilers.latency import STRICT
    from paredown.profilers.size import measure_size
    from paredown.trials.timing import REFERENCE, Stopwatch, Timed

    split = open_data(options.data).first(options.first)
    with ExitStack() as stack:
        bundle = stack.enter_context(opened(options.subject))
        candidates = {REFERENCE: Timed(bundle, options.beam_size)}
        if options.against:
            reference = stack.enter_context(opened(options.against))
            candidates = {REFERENCE: Timed(reference, options.beam_size), "subject": Timed(bundle, options.beam_size)}
        stopwatch = stack.enter_context(Stopwatch(options.threads))
        effort = replace(STRICT, repeats=options.repeats)
        timed = stopwatch.time(candidates, split, effort, fixed_tokens=options.fixed_tokens, seed=options.seed)
        size = measure_size(bundle)
    latency = timed["subject" if options.against else REFERENCE]
    machine = read_fingerprint(threads=options.threads)
    if options.json:
        figures = {"latency_ms": latency.to_dict(), "size_bytes": size.size_bytes, "files": dict(size.files)}
        against = {"against": {"latency_ms": timed[REFERENCE].to_dict()}} if options.against else {}
        print_json({**figures, **against, "target": json.loads(machine.to_json())})
        return 0
    assert latency.fixed is not None
    columns: tuple[str, ...] = ("", "median ms", "95 % interval", f"ratio to {options.against}", "95 % interval")
    rows = [_row("per utterance", latency.free), _row(f"at {options.fixed_tokens} tokens", latency.fixed)]
    caption = (
        f"{latency.free.runs} runs on {len(split)} utterances, {latency.free.tokens:.1f} tokens each, {options.threads} thread(s), "
        f"{machine.cpu}; {megabytes(size.size_bytes)} on disk"
    )
    if not options.against:
        columns, rows = columns[:3], [row[:3] for row in rows]
    console().print(table(options.subject, columns, rows, caption))
    return 0


def _row(label: str, timing: "Timing") -> tuple[str, ...]:
    (low, high), (lower, upper) = timing.ci95_ms, timing.ratio_ci95
    return (label, f"{timing.median_ms:.1f}", f"{low:.1f} to {high:.1f}", f"{timing.ratio:.3f}", f"{lower:.3f} to {upper:.3f}")
