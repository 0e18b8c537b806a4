"""`paredown evaluate`: quality of a bundle, or of a model as it is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_json, console, positive, print_json, table
from paredown.commands.scoring import METRICS, add_language
from paredown.report.output_file import check_output_file


def add(subparsers: Any) -> None:
    evaluate = subparsers.add_parser("evaluate", help="BLEU, chrF, chrF++, TER, WER and CER of a bundle or model, with intervals")
    evaluate.add_argument("subject", metavar="BUNDLE|MODEL")
    evaluate.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/SPLIT")
    evaluate.add_argument("--first", type=positive, metavar="N", help="only the first N utterances")
    evaluate.add_argument("--beam-size", type=positive)
    evaluate.add_argument("--workers", type=positive, help="processes that decode (default: one for each core)")
    evaluate.add_argument(
        "--metric",
        action="append",
        choices=(*METRICS, "all"),
        help="what the table shows; may be given again (default: by the model's task)",
    )
    add_language(evaluate)
    evaluate.add_argument("--comet", action="store_true", help="score with wmt20-comet-da too; needs the extra [comet] and its model")
    evaluate.add_argument("--hypotheses", type=Path, metavar="FILE", help="write the hypotheses, one line each")
    add_json(evaluate)
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Decode the split with the bundle itself and score the hypotheses. JSON has every metric, None for those the text has no words for."""
    from paredown.data import open_data
    from paredown.trials.assessing import assess, write_hypotheses

    split = open_data(options.data)
    split = split.first(options.first) if options.first else split
    if options.hypotheses:
        check_output_file(options.hypotheses, "--hypotheses")
    found = assess(
        options.subject,
        split,
        "all" if options.json else (_wanted(options.metric, METRICS) if options.metric else "task"),
        required=_wanted(options.metric, ()),
        language=options.language,
        beam_size=options.beam_size,
        workers=options.workers,
        comet=options.comet,
    )
    if options.hypotheses:
        write_hypotheses(options.hypotheses, found.hypotheses)
    if options.json:
        print_json(found.to_dict())
        return 0
    scores = found.scores.values()
    rows = ((s.metric, f"{s.value:.2f}", f"{s.ci95[0]:.2f} to {s.ci95[1]:.2f}" if s.ci95 else "", s.signature) for s in scores)
    caption = f"{len(split)} utterances of {split.name}; {found.length_cap_hits} hit the length cap"
    console().print(table(options.subject, ("metric", "value", "95 % interval", "signature"), rows, caption))
    return 0


def _wanted(asked: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """Metrics that the user names, in the usual order; "all" names none in particular, so that what cannot be counted is left out."""
    if asked is None:
        return tuple(default)
    return tuple(metric for metric in METRICS if metric in asked or ("all" in asked and default))
