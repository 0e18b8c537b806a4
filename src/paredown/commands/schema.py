"""`paredown schema`: the JSON schema of study files."""

import argparse
from typing import Any

from paredown.commands.printing import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("schema", help="JSON schema of study files")
    parser.add_argument("--json", action="store_true", help="accepted for symmetry: a schema is JSON anyway")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from paredown.search.study_file import spec_schema

    print_json(spec_schema())
    return 0
