"""`paredown compare`: does A differ from B, does it lose less than a margin, how fast is it beside it, and what changed."""

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_csv, add_json, check_outputs, console, natural, positive, positive_real, print_json
from paredown.commands.scoring import METRICS, add_language

CSV_COLUMNS: tuple[str, ...] = ("id", "reference", "a", "b", "change")


def add(subparsers: Any) -> None:
    compare = subparsers.add_parser(
        "compare", help="is A different from B, and does it lose less than a margin: paired tests, latency, changes"
    )
    compare.add_argument("a", metavar="A", help="bundle, model, or a .txt file with a hypothesis on each line")
    compare.add_argument("b", metavar="B", help="the same; what A is compared with")
    compare.add_argument("--data", required=True, metavar="DATA", help="manifest, folder or bundled:NAME/SPLIT")
    compare.add_argument("--metric", choices=METRICS, help="default: chrf for translation, wer for recognition")
    compare.add_argument(
        "--margin",
        type=positive_real,
        metavar="POINTS",
        help="of non-inferiority, fixed before looking (default: 1.0 BLEU or chrF, 0.3 %% WER)",
    )
    compare.add_argument("--task", choices=("st", "asr"), help="what two files of hypotheses are: translations (st) or transcripts (asr)")
    add_language(compare)
    compare.add_argument("--first", type=positive, metavar="N", help="only the first N utterances")
    compare.add_argument("--beam-size", type=positive)
    compare.add_argument("--workers", type=positive, help="processes that decode (default: one for each core)")
    compare.add_argument(
        "--latency", action=argparse.BooleanOptionalAction, default=True, help="time A beside B (default: yes, of bundles)"
    )
    compare.add_argument("--threads", type=positive, default=1, help="of the latency")
    compare.add_argument("--top", type=int, default=5, metavar="N", help="utterances that changed most (default 5, 0 for none)")
    compare.add_argument("--seed", type=natural, default=0)
    add_json(compare)
    add_csv(compare, "a row for each utterance: reference, A, B, change")
    compare.add_argument("--figure", type=Path, metavar="FILE", help="draw the effects with their intervals, and the ratio of latency")
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Decode both, test, time, print."""
    from paredown.data import open_data
    from paredown.report.compare_figure import draw_comparison
    from paredown.report.compare_table import show_comparison
    from paredown.report.csv_file import STDOUT, write_csv
    from paredown.report.figure_file import write_figure
    from paredown.trials.comparing import Question, compare_systems

    check_outputs(options)
    split = open_data(options.data)
    asked = Question(**{field.name: getattr(options, field.name) for field in fields(Question)})
    found = compare_systems(asked, split.first(options.first) if options.first else split)
    if options.csv is not None:
        write_csv([asdict(row) for row in found.rows], options.csv, CSV_COLUMNS)
    if options.figure is not None:
        write_figure(draw_comparison(found.comparison), options.figure)
    if options.json:
        print_json(found.to_dict())
    elif options.csv != STDOUT:
        show_comparison(console(), found.comparison)
    return 0
