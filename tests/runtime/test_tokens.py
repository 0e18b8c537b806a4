from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.runtime.tokens import detokenize, read_tokens


@pytest.mark.parametrize(
    ("tokens", "token_type", "text"),
    [
        (["▁Guten", "▁Tag", ",", "▁T", "om", "!"], "bpe", "Guten Tag, Tom!"),
        (["▁", "Ja", "▁"], "bpe", "Ja"),
        (["▁a", "<unk>", "b"], "bpe", "a ⁇ b"),
        (["▁gr", "<0xC3>", "<0xBC>", "n"], "bpe", "grün"),
        (["J", "a", "<space>", "d", "u"], "char", "Ja du"),
        (["ja", "du"], "word", "ja du"),
        ([], "bpe", ""),
    ],
)
def test_tokens_spell_text(tokens: list[str], token_type: str, text: str) -> None:
    assert detokenize(tokens, token_type) == text


@pytest.fixture(scope="module")
def sentencepiece_model(tmp_path_factory: pytest.TempPathFactory):
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text").write_text("\n".join(f"der Hund {number} bellt, die Katze {number * 7} schläft." for number in range(200)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "model"), vocab_size=60, model_type="bpe", minloglevel=2
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "model.model"))


@given(ids=st.lists(st.integers(0, 59).filter(lambda piece: piece not in (1, 2)), max_size=12))  # 1, 2: <s>, </s>
def test_text_is_that_of_sentencepiece(sentencepiece_model, ids: list[int]) -> None:
    pieces = [sentencepiece_model.id_to_piece(piece) for piece in ids]
    assert detokenize(pieces, "bpe") == sentencepiece_model.decode_pieces(pieces).strip()


def test_line_numbers_are_ids(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_bytes("<blank>\n<unk>\n▁a\n\u2028\n\x0b\n<sos/eos>\n".encode())  # other line breaks are tokens, not ends
    assert read_tokens(path) == ("<blank>", "<unk>", "▁a", "\u2028", "\x0b", "<sos/eos>")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", None])
def test_bad_token_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=str(path)):
        read_tokens(path)
