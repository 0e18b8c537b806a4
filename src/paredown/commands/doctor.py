"""`paredown doctor`: what this machine can run and measure, and how to enable what is missing."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from paredown.commands.printing import add_json, console, print_json

if TYPE_CHECKING:
    from paredown.doctor import Finding

_MARKS = {"ok": ("ok", "green"), "limited": ("limited", "yellow"), "missing": ("missing", "red")}


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("doctor", help="what this machine can measure and run, and how to enable what is missing")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at everything and print it. A machine that lacks something is no failure."""
    from paredown.doctor import examine

    findings = examine()
    if options.json:
        print_json([finding.to_dict() for finding in findings])
    else:
        console().print(_screen(findings))
    return 0


def _screen(findings: "Sequence[Finding]") -> Table:
    """A line for what was found with its evidence, and one below for what to do where something is missing."""
    result = Table.grid(padding=(0, 2))
    for _ in range(2):
        result.add_column(no_wrap=True)
    result.add_column(overflow="fold")
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            result.add_row(Text(section, style="bold"))
        found = Text.assemble(finding.found, (f"  ({finding.evidence})", "dim"))
        if finding.enable:
            found.append(f"\n-> {finding.enable}", "cyan")
        result.add_row(Text(f"  {_MARKS[finding.state][0]}", style=_MARKS[finding.state][1]), finding.subject, found)
    return result
