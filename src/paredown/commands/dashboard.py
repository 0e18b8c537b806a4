"""`paredown dashboard`: optuna-dashboard on a study, on this machine alone, to look at."""

import argparse
import sys
from pathlib import Path
from typing import Any

DEFAULT_PORT = 8080


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("dashboard", help="optuna-dashboard on a study, in the browser of this machine; shows, changes nothing")
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of the study (runs/NAME), running or not")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, metavar="N", help=f"of 127.0.0.1 (default {DEFAULT_PORT}; 0: any that is free)"
    )
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    """A port, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port must be a whole number in [0, 65535], got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, which is how a dashboard ends well."""
    from paredown.report.dashboard import serving
    from paredown.search.signals import StoppedBySignal

    with serving(options.study, options.port) as server:
        print(f"{options.study}: {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except StoppedBySignal as stop:
            print(f"paredown: the dashboard was {stop}", file=sys.stderr)
    return 0
