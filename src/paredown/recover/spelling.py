"""What is said and its translation as the ids that a network's decoder and CTCs spell them with.

A translation is spelled as it stands. What is said is first fitted to the characters that the token list has: a recipe spells it in
lower case and without punctuation, or in capitals, while manifests hold the text as it is written.
"""

import unicodedata
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from espnet2.text.char_tokenizer import CharTokenizer
from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer
from espnet2.text.token_id_converter import TokenIDConverter
from espnet2.text.word_tokenizer import WordTokenizer

from paredown.models.locate import places_of
from paredown.models.model import Model
from paredown.models.tokenizer import UNKNOWN, text_encoder

Spell = Callable[[str], tuple[int, ...]]
_SPACE = "▁"


def output_speller(model: Model) -> Spell:
    """What the decoder writes: a translation (ST) as it stands, what is said (ASR) in the characters of the token list."""
    spell = text_encoder(model)
    if model.task == "st":
        return spell
    characters = characters_of(model.tokens)
    return lambda line: spell(fit_line(line, characters))


def source_speller(model: Model) -> Spell | None:
    """What the source CTC of an ST model spells; None where there is no such CTC, or no tokenizer of it in the model's folder."""
    if model.network.source_ctc is None or not model.source_tokens or UNKNOWN not in model.source_tokens:
        return None
    kind = model.config.get("src_token_type", "bpe")
    tokenizer: Any
    if kind == "bpe":
        file = _locate_source_tokenizer(model)
        if file is None:
            return None
        tokenizer = SentencepiecesTokenizer(str(file))
    else:
        tokenizer = CharTokenizer() if kind == "char" else WordTokenizer()
    characters, converter = characters_of(model.source_tokens), TokenIDConverter(list(model.source_tokens), UNKNOWN)
    return lambda line: tuple(converter.tokens2ids(tokenizer.text2tokens(fit_line(line, characters))))


def characters_of(tokens: Sequence[str]) -> frozenset[str]:
    """Every character that a token list can spell; special tokens (`<blank>` and the like) are none, the word mark is the space."""
    spelled = "".join(token for token in tokens if not (token.startswith("<") and token.endswith(">")))
    return frozenset(spelled.replace(_SPACE, " "))


def fit_line(line: str, characters: Collection[str]) -> str:
    """The line in these characters: another case or the bare letter where only that is there, a space for the rest."""
    return " ".join("".join(_fit(character, characters) for character in unicodedata.normalize("NFC", line)).split())


def _fit(character: str, characters: Collection[str]) -> str:
    bare = unicodedata.normalize("NFKD", character)[:1]
    for candidate in (character, character.lower(), character.upper(), bare, bare.lower(), bare.upper()):
        if candidate in characters:
            return candidate
    return " "


def _locate_source_tokenizer(model: Model) -> Path | None:
    """The sentencepiece file of the source text: as the config writes it, else in the model's folder."""
    written = model.config.get("src_bpemodel")
    named = [*places_of(model.path, written)] if isinstance(written, str) else []
    return next((file for file in [*named, model.path / "src_bpe.model"] if file.is_file()), None)
