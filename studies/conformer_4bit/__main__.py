"""Command line: `python -m studies.conformer_4bit [table_1 table_2 figure_2]`."""

import sys
from collections.abc import Sequence

from studies.conformer_4bit import figure_2, table_1, table_2
from studies.conformer_4bit.paper import TITLE
from studies.reproduction.main import reproduce

TABLES = {"table_1": table_1.make, "table_2": table_2.make, "figure_2": figure_2.make}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    return reproduce("conformer_4bit", TITLE, TABLES, model="bundled:tatoeba-en", train="train-english", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
