"""Reference text to ids: ESPnet's tokenizers behind one function."""

from pathlib import Path

import pytest

from paredown.models import load_model
from paredown.models.network import read_output_ctc_weight
from paredown.models.tokenizer import text_encoder
from paredown.runtime.tokens import detokenize
from tests.models.checkpoints import asr_config, st_config, write_checkpoint

BUNDLED = "bundled:tatoeba-en-de"


def test_pieces_of_the_bundled_model_spell_the_text_again() -> None:
    model, line = load_model(BUNDLED), "Ich brauche das Geld. Bin ich soweit?"
    ids = text_encoder(model)(line)
    assert model.sos not in ids
    assert 0 not in ids
    assert detokenize([model.tokens[token] for token in ids], "bpe") == line


def test_characters_and_words(tmp_path: Path) -> None:
    tokens = ["<blank>", "<unk>", "<space>", "c", "d", "de", "<sos/eos>"]
    characters = load_model(write_checkpoint(tmp_path / "char", asr_config(token_list=tokens)))
    assert text_encoder(characters)("cd ?") == (3, 4, 2, 1)
    words = load_model(write_checkpoint(tmp_path / "word", asr_config(token_list=tokens, token_type="word")))
    assert text_encoder(words)("de  c nothing") == (5, 3, 1)


@pytest.mark.parametrize("tokens", [["<blank>", "a", "b", "<sos/eos>"], ["<blank>", "<unk>", "a", "a", "<sos/eos>"]])
def test_lists_that_leave_it_open_are_refused(tmp_path: Path, tokens: list[str]) -> None:
    model = load_model(write_checkpoint(tmp_path, asr_config(token_list=tokens)))
    with pytest.raises(ValueError, match="token_list must hold <unk> and every token once"):
        text_encoder(model)


def test_the_output_ctcs_weight_is_that_of_training() -> None:
    assert read_output_ctc_weight(asr_config()) == 0.3
    assert read_output_ctc_weight(asr_config(model_conf={})) == 0.5  # ESPnet's default
    assert read_output_ctc_weight(st_config()) == 0.0
    assert read_output_ctc_weight(st_config(model_conf={"st_mtlalpha": 0.2})) == 0.2
