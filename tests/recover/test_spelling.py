"""Spelling: translations as they stand, what is said in the characters that the tokens have."""

from pathlib import Path

import pytest

from paredown.models import load_model
from paredown.models.tokenizer import text_encoder
from paredown.recover.spelling import characters_of, fit_line, output_speller, source_speller
from tests.recover.audio import write_asr, write_model

LOWER = frozenset("abcdefghijklmnopqrstuvwxyz' 0123456789")


@pytest.mark.parametrize(
    ("line", "characters", "expected"),
    [
        ("It's 3:30, Tom!", LOWER, "it's 3 30 tom"),
        ("It's 3:30, Tom!", frozenset("IT'SOM "), "IT'S TOM"),
        ("naïve Café", LOWER, "naive cafe"),
        ("naïve", LOWER | {"ï"}, "naïve"),
        ("nai\u0308ve", LOWER | {"ï"}, "naïve"),  # a diaeresis of its own
        ("  …  ", LOWER, ""),
        ("你好, 世界。", frozenset("你好世界"), "你好 世界"),
        ("It's 3:30, Tom!", frozenset("It's 3:30, Tom!"), "It's 3:30, Tom!"),
    ],
)
def test_a_line_is_fitted_to_the_characters(line: str, characters: frozenset[str], expected: str) -> None:
    assert fit_line(line, characters) == expected


def test_special_tokens_have_no_characters() -> None:
    assert characters_of(["<blank>", "▁a", "'b", "<sos/eos>"]) == {" ", "a", "'", "b"}


def test_the_bundled_source_is_spelled_without_unknown_pieces() -> None:
    """The recipe's own spelling (studies/bundled_model/tokens.py) of the same lines."""
    model = load_model("bundled:tatoeba-en-de")
    spell = source_speller(model)
    assert spell is not None
    for line, spoken in [("It's 3:30. Who are you?", "it's 3 30 who are you"), ("NO WAY!", "no way")]:
        assert spell(line) == spell(spoken)
        assert 1 not in spell(line)
        assert "".join(model.source_tokens[token] for token in spell(line)).replace("▁", " ").strip() == spoken


def test_a_translation_is_spelled_as_it_stands(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    assert output_speller(model)("bad A.") == text_encoder(model)("bad A.")
    assert 1 in output_speller(model)("bad A.")


def test_what_an_asr_model_writes_is_fitted(tmp_path: Path) -> None:
    model = write_asr(tmp_path)
    assert [model.tokens[token] for token in output_speller(model)("A bad, BAD cab.")] == [
        *("a", "<space>", "b", "a", "d", "<space>", "b", "a", "d", "<space>", "c", "a", "b")
    ]
    assert source_speller(model) is None


def test_without_a_source_tokenizer_nothing_is_spelled(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    assert source_speller(model) is not None
    (tmp_path / "src_bpe.model").unlink()
    assert source_speller(model) is None
