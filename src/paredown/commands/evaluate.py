"""`paredown evaluate`: quality of a bundle, or of a model as it is."""

import argparse
from pathlib import Path
from typing import Any

from paredown.commands.opening import opened
from paredown.commands.printing import add_json, console, positive, print_json, table
from paredown.report.output_file import check_output_file

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
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Decode the split with the bundle itself and score the hypotheses."""
    from paredown.data import open_data
    from paredown.profilers.machine_lock import machine_share
    from paredown.quality import score
    from paredown.runtime.bundle_files import read_manifest
    from paredown.trials.decoding import Decoder, Search

    split = open_data(options.data)
    split = split.first(options.first) if options.first else split
    if options.hypotheses:
        check_output_file(options.hypotheses, "--hypotheses")
    with opened(options.subject) as bundle, Decoder(options.workers) as decoder:
        references = split.references(read_manifest(bundle).task)
        found = decoder.decode(bundle, split, Search(beam_size=options.beam_size))
    hypotheses = [hypothesis.text for hypothesis in found]
    if options.hypotheses:
        options.hypotheses.write_text("".join(f"{line}\n" for line in hypotheses), encoding="utf-8")
    with machine_share():  # thousands of resamples
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
