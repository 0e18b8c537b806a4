"""Kaldi-style folders of recipes: which text is the translation, where audio lies, and what is refused in one line."""

from pathlib import Path

import pytest

from paredown.data import load_split
from paredown.data.kaldi import TextFiles
from paredown.data.recipe import recipe_root
from paredown.errors import BadInput


def write_folder(folder: Path, **texts: str) -> Path:
    """One utterance `u1`; each text's line by the name of its file, `_` for `.`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "u1.flac").write_bytes(b"fLaC")
    (folder / "wav.scp").write_text("u1 u1.flac\n")
    for name, line in texts.items():
        (folder / name.replace("_", ".")).write_text(f"u1 {line}\n", encoding="utf-8")
    return folder


MUST_C = {"text_lc_en": "hello!", "text_lc_rm_en": "hello", "text_tc_en": "Hello!", "text_lc_de": "hallo!", "text_tc_de": "Hallo!"}


def refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_split(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_config_of_a_model_tells_which_text_is_which(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "dev", text="Hallo!", **MUST_C)
    split = load_split(folder, texts=TextFiles("text.lc.rm.en", "text.lc.de"))
    assert (split.references("asr"), split.references("st")) == (("hello",), ("hallo!",))
    only = load_split(folder, texts=TextFiles(None, "text.tc.de"))
    assert (only.utterances[0].text, only.utterances[0].translation) == (None, "Hallo!")
    assert load_split(folder, texts=TextFiles("text.tc.en")).utterances[0].translation is None


def test_the_languages_in_a_folders_name_tell_it_too(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tst-COMMON.en-de", text="Hallo!", **MUST_C)
    split = load_split(folder)
    assert (split.references("asr"), split.references("st")) == (("Hello!",), ("Hallo!",))  # as written, not in lower case
    alone = load_split(write_folder(tmp_path / "dev.en-de", text="Hallo!", text_tc_de="Hallo!"))
    assert (alone.utterances[0].text, alone.utterances[0].translation) == (None, "Hallo!")  # `text` is a copy of the translation
    assert load_split(write_folder(tmp_path / "dev.en-fr", text="hello", text_fr="salut")).references("asr") == ("hello",)


def test_a_choice_of_texts_that_is_open_is_named(tmp_path: Path) -> None:
    message = refusal(write_folder(tmp_path / "dev", text="hello", **MUST_C))
    assert "must hold one translation, it holds text.lc.de, text.lc.en, text.lc.rm.en, text.tc.de, text.tc.en" in message
    assert "paredown init MODEL --data" in message


def test_commands_are_not_run_and_the_dumped_folder_is_named(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "st1" / "data" / "dev", text="hello")
    (tmp_path / "st1" / "exp").mkdir()
    for command in (f"cat {tmp_path}/u1.flac |", f"touch {tmp_path}/harm |  "):
        (data / "wav.scp").write_text(f"u1 {command}\n")
        message = refusal(data)
        assert "line 1: commands are not run" in message
        assert "what stage 3 of the recipe writes, dump/raw/dev" in message
    write_folder(tmp_path / "st1" / "dump" / "raw" / "dev", text="hello")
    assert refusal(data).endswith(f"or {tmp_path}/st1/dump/raw/dev")
    assert not (tmp_path / "harm").exists()


def test_segments_are_refused_with_the_folder_to_give(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data" / "dev", text="hello")
    (data / "segments").write_text("u1 rec1 0.0 1.5\n")
    assert refusal(data).endswith(
        "segments cuts longer recordings, which is not done here; give what stage 3 of the recipe writes, dump/raw/dev"
    )


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, text="hello")
    (folder / "wav.scp").write_text("u1 u1.flac\nu1 u1.flac\n")
    assert refusal(folder) == f"{folder}/wav.scp, line 2: ids must be distinct, u1 comes twice"


def test_paths_start_at_the_recipe_wherever_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "egs2" / "corpus" / "st1"
    folder = write_folder(root / "dump" / "raw" / "dev", text="hello")
    (root / "exp").mkdir()
    audio = root / "dump" / "raw" / "org" / "u1.flac"
    audio.parent.mkdir()
    audio.write_bytes(b"fLaC")
    (folder / "wav.scp").write_text("u1 dump/raw/org/u1.flac\n")
    monkeypatch.chdir(tmp_path)
    assert load_split(folder).utterances[0].audio == audio
    assert load_split("egs2/corpus/st1/dump/raw/dev").utterances[0].audio == audio


def test_the_root_of_a_recipe_holds_two_of_its_folders(tmp_path: Path) -> None:
    inside = tmp_path / "st1" / "exp" / "st_train"
    inside.mkdir(parents=True)
    assert recipe_root(inside) is None
    (tmp_path / "st1" / "data").mkdir()
    assert recipe_root(inside) == recipe_root(tmp_path / "st1") == tmp_path / "st1"
