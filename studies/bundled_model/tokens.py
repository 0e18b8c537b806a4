"""The token models, from train text only: German pieces for the decoder, English pieces for the CTC.

They land in `cache/{de,en}.model`, the token lists beside them in `.tokens.txt`.
Token lists follow ESPnet: `<blank>`, `<unk>`, the pieces, `<sos/eos>` (sentencepiece's own `<unk>`, `<s>`, `</s>` left out).
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from studies.bundled_model.partition import Sentence, load_partition
from studies.bundled_model.synthesize import CACHE

PIECES = {"de": 1000, "en": 300}


def spoken_english(line: str) -> str:
    """What the CTC spells: lower case, apostrophes kept, other punctuation gone ("It's 3:30." -> "it's 3 30")."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", line.lower()))


def train_pieces(lines: Iterable[str], pieces: int, target: Path) -> None:
    """A unigram model of about `pieces` pieces in `target` (`.model`), and its ESPnet token list beside it (`.tokens.txt`)."""
    prefix = target.with_suffix(".part")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(prefix),
        vocab_size=pieces,
        model_type="unigram",
        character_coverage=1.0,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=1,
    )
    os.replace(f"{prefix}.model", target)
    os.replace(f"{prefix}.vocab", target.with_suffix(".vocab"))
    target.with_suffix(".tokens.txt").write_text("\n".join(list_tokens(target)) + "\n")


def list_tokens(model: Path) -> tuple[str, ...]:
    """The ESPnet token list of a sentencepiece model."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    pieces = [processor.id_to_piece(index) for index in range(processor.get_piece_size()) if not processor.is_control(index)]
    return ("<blank>", "<unk>", *(piece for piece in pieces if piece != "<unk>"), "<sos/eos>")


def train_tokens(sentences: Iterable[Sentence], folder: Path) -> None:
    """Both token models into `folder`."""
    kept = tuple(sentences)
    folder.mkdir(parents=True, exist_ok=True)
    train_pieces((german for sentence in kept for german in sentence.germans), PIECES["de"], folder / "de.model")
    train_pieces((spoken_english(sentence.english) for sentence in kept), PIECES["en"], folder / "en.model")


if __name__ == "__main__":
    train_tokens(load_partition().train, CACHE)
