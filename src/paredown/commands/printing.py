"""Output of the commands: `--json`, tables, human units."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite
from pathlib import Path
from typing import Any

from rich.console import Console

from paredown.errors import BadInput
from paredown.report.csv_file import STDOUT
from paredown.report.output_file import check_output_file
from paredown.report.table import table as table

PAGE = 80  # columns of what is no terminal


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print figures as JSON instead of a table")


def add_csv(parser: argparse.ArgumentParser, rows: str) -> None:
    """`--csv`, to the screen or to a file."""
    told = f"comma-separated values, {rows}: on the screen in place of the table, or in FILE beside it"
    parser.add_argument("--csv", type=Path, nargs="?", const=STDOUT, metavar="FILE", help=told)


def check_outputs(options: argparse.Namespace) -> None:
    """Before any work: raises BadInput for `--csv` with `--json`, and where the file of values or the figure could not be written."""
    if options.csv is not None and options.json:
        raise BadInput(f"figures are printed as --json or as --csv, got both (--csv {options.csv})")
    if options.csv is not None and options.csv != STDOUT:
        check_output_file(options.csv, "--csv")
    if options.figure is not None:
        from paredown.report.latency_figure import check_figure

        check_figure(options.figure)


def add_budgets(parser: argparse.ArgumentParser) -> None:
    """`--budget`, which may be given several times."""
    example = "size=12MB, latency@cpu=80ms, energy@cpu=200mJ, quality=-1.0"
    parser.add_argument("--budget", action="append", default=[], metavar="NAME=LIMIT", help=example)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    return _whole(text, "a count", least=1)


def natural(text: str) -> int:
    """A whole number of at least 0, for argparse: a seed."""
    return _whole(text, "a seed", least=0)


def _whole(text: str, what: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{what} must be a whole number of at least {least}, got {text!r}")
    return value


def positive_real(text: str) -> float:
    """A finite number above zero, for argparse."""
    value = real(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"a figure must be above zero, got {text!r}")
    return value


def real(text: str) -> float:
    """A finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = inf
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"a number must be finite, got {text!r}")
    return value


@contextmanager
def short_notes() -> Iterator[None]:
    """What the runtime warns of becomes a short line on stderr, without the place in our code; each is shown once."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            if issubclass(category, UserWarning) and not isinstance(message, str):
                print(f"paredown: note: {message}", file=sys.stderr)
            else:
                show(message, category, *rest, **named)

        warnings.showwarning = tell
        yield


def print_json(value: Any) -> None:
    """One JSON document on stdout, keys in the order given."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def console() -> Console:
    """Where tables go. What is no terminal has 80 columns, or as many as COLUMNS says."""
    if sys.stdout.isatty():
        return Console(soft_wrap=False)
    columns = os.environ.get("COLUMNS", "")
    return Console(width=int(columns) if columns.isdecimal() and int(columns) else PAGE, highlight=False)


def megabytes(size_bytes: float) -> str:
    """MB are 10^6 bytes everywhere in paredown."""
    return f"{size_bytes / 1e6:.2f} MB"
