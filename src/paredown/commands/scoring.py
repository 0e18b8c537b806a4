"""How a command reads languages that do not space their words."""

import argparse

from paredown.trials.assessing import METRICS as METRICS


def add_language(parser: argparse.ArgumentParser) -> None:
    """`--language`, of the references."""
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="of the references: zh, ja, ko, th, ... picks the tokenizer of BLEU and TER (default: by their script)",
    )
