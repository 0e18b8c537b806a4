"""Token ids to tokens to text. No tokenizer model is needed: what a token spells stands in the token itself."""

import re
from collections.abc import Sequence
from pathlib import Path

from paredown.errors import BadInput
from paredown.runtime.bundle_files import TokenType

BLANK_ID = 0  # ESPnet takes id 0 for the CTC's blank and leaves it out of results
_BYTES = re.compile("(?:<0x[0-9A-Fa-f]{2}>)+")


def read_tokens(path: Path) -> tuple[str, ...]:
    """One token a line, line number = id; raises BadInput for a file that is empty or not UTF-8."""
    try:
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} must hold one UTF-8 token a line, got: {error}") from error
    if lines == [""]:
        raise BadInput(f"{path} must hold one UTF-8 token a line, got an empty file")
    return tuple(lines)


def detokenize(tokens: Sequence[str], token_type: TokenType) -> str:
    """The text that tokens spell, without white space at its ends.

    bpe: sentencepiece's convention (U+2581 begins a word, `<unk>` is shown as U+2047, runs of `<0x41>` are UTF-8 bytes);
    char: `<space>` is a space; word: joined by spaces.
    """
    if token_type == "bpe":
        text = "".join(" \u2047 " if token == "<unk>" else token for token in tokens)
        return _BYTES.sub(_decode_bytes, text.replace("\u2581", " ")).strip()
    if token_type == "char":
        return "".join(" " if token == "<space>" else token for token in tokens).strip()
    return " ".join(tokens).strip()


def _decode_bytes(run: re.Match[str]) -> str:
    return bytes(int(code, 16) for code in re.findall("0x(..)", run.group())).decode("utf-8", errors="replace")
