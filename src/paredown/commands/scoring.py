"""Which metrics a command scores with, and how it reads languages that do not space their words."""

import argparse
from collections.abc import Sequence

from paredown.errors import BadInput

METRICS = ("bleu", "chrf", "chrf++", "ter", "wer", "cer")
OF_TASK = {"st": ("bleu", "chrf", "chrf++", "ter"), "asr": ("wer", "cer", "chrf")}


def add_language(parser: argparse.ArgumentParser) -> None:
    """`--language`, of the references."""
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="of the references: zh, ja, ko, th, ... picks the tokenizer of BLEU and TER (default: by their script)",
    )


def tokenizer_for(language: str | None, references: Sequence[str]) -> str:
    """sacrebleu's tokenizer. Raises BadInput where the language that the user names needs a package that is not installed."""
    from paredown.quality.metrics import found_tokenizer, missing_package, tokenizer_of

    if language is None:
        return found_tokenizer(references)
    tokenizer = tokenizer_of(language)
    package = missing_package(tokenizer)
    if package:
        raise BadInput(
            f"--language {language} is cut into words by {tokenizer}: pip install '{package}', or leave --language out for characters"
        )
    return tokenizer
