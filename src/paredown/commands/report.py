"""`paredown report`: a study as one HTML file."""

import argparse
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_budgets, add_json, print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("report", help="a study as one HTML file: front, trials, sensitivity, search, translations")
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of the study (runs/NAME)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write it (default: STUDY/front/report.html)")
    parser.add_argument("--ablate", action="store_true", help="also measure what each axis bought the pick that leads (minutes)")
    add_budgets(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page, and say where it is and what it lacks."""
    import time

    from paredown.commands.telling import Telling
    from paredown.report.output_file import check_output_file
    from paredown.report.page.study_page import write_page

    if options.output is not None:
        check_output_file(options.output, "the report")
    began = time.monotonic()
    with Telling() as telling:
        written = write_page(options.study, options.output, options.budget, telling.line, telling if options.ablate else None)
    seconds = time.monotonic() - began
    if options.json:
        print_json(
            {
                "report": str(written.path),
                "size_bytes": written.size_bytes,
                "seconds": seconds,
                "trials": written.trials,
                "missing": dict(written.missing),
            }
        )
        return 0
    print(f"{written.path}: {written.trials} trials, {written.size_bytes / 1e6:.2f} MB, {seconds:.1f} s; open it in a browser")
    for section, why in written.missing.items():
        print(f"  {section}: {why}")
    return 0
