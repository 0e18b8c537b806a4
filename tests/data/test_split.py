"""Reading of splits: three forms, and one clear line for each way they can be wrong."""

import json
from pathlib import Path

import pytest

from paredown.data import load_split
from paredown.errors import BadInput


def write_jsonl(folder: Path, rows: list[dict[str, object]]) -> Path:
    (folder / "a.wav").write_bytes(b"RIFF")
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


ROW = {"id": "u1", "audio": "a.wav", "text": "hello", "translation": "hallo"}


def test_jsonl_tsv_and_kaldi_folder_give_the_same_utterances(tmp_path: Path) -> None:
    manifest = write_jsonl(tmp_path, [ROW])
    table = tmp_path / "manifest.tsv"
    table.write_text("id\taudio\ttext\ttranslation\nu1\ta.wav\thello\thallo\n")
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text(f"u1 {tmp_path}/a.wav\n")
    (kaldi / "text").write_text("u1 hello\n")
    (kaldi / "text.en").write_text("u1 hello\n")
    (kaldi / "text.de").write_text("u1 hallo\n")
    first, second, third = (load_split(path) for path in (manifest, table, kaldi))
    assert first.utterances == second.utterances == third.utterances
    assert first.references("st") == ("hallo",)
    assert first.references("asr") == ("hello",)


def test_digest_follows_text_and_audio(tmp_path: Path) -> None:
    manifest = write_jsonl(tmp_path, [ROW])
    before = load_split(manifest).digest
    assert load_split(manifest).digest == before
    (tmp_path / "a.wav").write_bytes(b"RIFFx")
    assert load_split(manifest).digest != before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "audio": "missing.wav"}], "line 1: the audio file .*missing.wav does not exist"),
        ([ROW, ROW], "line 2: ids must be distinct, u1 comes twice"),
        ([{"id": "u1", "text": "hello"}], "line 1: every utterance needs the key 'audio'"),
        ([{"id": "u1", "audio": "a.wav"}], "u1 has neither"),
        ([{**ROW, "text": 3}], "'text' must be a string, got 3"),
        ([], "at least one utterance"),
    ],
)
def test_each_fault_is_one_line_with_rule_and_value(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load_split(write_jsonl(tmp_path, rows))
    assert "\n" not in str(caught.value)


def test_separators_inside_a_line_do_not_end_it(tmp_path: Path) -> None:
    text = "one\u2028two\u2029three\x85four\x0bfive\x1csix"
    manifest = write_jsonl(tmp_path, [])
    manifest.write_text(json.dumps({**ROW, "text": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert load_split(manifest).references("asr") == (text,)
    table = tmp_path / "manifest.tsv"
    table.write_text(f"id\taudio\ttext\r\nu1\ta.wav\t{text}\r\n\r\n", encoding="utf-8", newline="")
    assert load_split(table).references("asr") == (text,)
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text(f"u1 {tmp_path}/a.wav\n")
    (kaldi / "text").write_text(f"u1 {text}\n", encoding="utf-8")
    assert load_split(kaldi).references("asr") == (text,)


def test_kaldi_paths_start_at_the_folder_or_else_at_the_recipe_or_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = tmp_path / "dump" / "raw" / "test"
    for folder in (dump / "data", tmp_path / "data"):
        folder.mkdir(parents=True)
        (folder / "both.wav").write_bytes(b"RIFF")
    (tmp_path / "data" / "recipe.wav").write_bytes(b"RIFF")
    (dump / "wav.scp").write_text("u1 data/both.wav\nu2 data/recipe.wav\n")
    (dump / "text").write_text("u1 hello\nu2 world\n")
    monkeypatch.chdir(tmp_path)
    found = [utterance.audio for utterance in load_split("dump/raw/test").utterances]
    assert found == [Path("dump/raw/test/data/both.wav"), tmp_path / "data" / "recipe.wav"]
    monkeypatch.chdir(dump)
    assert found[1].is_file()  # whichever folder is the working one later
    assert [utterance.audio for utterance in load_split(dump).utterances] == [dump / "data" / "both.wav", tmp_path / "data" / "recipe.wav"]
    lonely = tmp_path / "elsewhere" / "lonely"
    lonely.mkdir(parents=True)
    (lonely / "wav.scp").write_text("u1 gone/recipe.wav\n")
    (lonely / "text").write_text("u1 hello\n")
    with pytest.raises(BadInput, match=r"line 1: the audio file .*gone/recipe\.wav does not exist"):
        load_split(lonely)
    (dump / "gone").mkdir()
    (dump / "gone" / "recipe.wav").write_bytes(b"RIFF")
    assert load_split(lonely).utterances[0].audio == dump / "gone" / "recipe.wav"  # the working folder comes last


def test_a_command_in_wav_scp_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("u1 touch harm |\n")
    (tmp_path / "text").write_text("u1 hello\n")
    with pytest.raises(BadInput, match="commands are not run"):
        load_split(tmp_path)
    assert not (tmp_path / "harm").exists()


def test_a_missing_translation_is_named_when_it_is_needed(tmp_path: Path) -> None:
    split = load_split(write_jsonl(tmp_path, [{"id": "u1", "audio": "a.wav", "text": "hello"}]))
    with pytest.raises(BadInput, match="u1 has no translation"):
        split.references("st")


def test_unlabelled_audio_is_taken_only_where_it_is_enough(tmp_path: Path) -> None:
    manifest = write_jsonl(tmp_path, [ROW, {"id": "u2", "audio": "a.wav"}])
    split = load_split(manifest, labelled=False)
    assert [(utterance.id, utterance.text, utterance.translation) for utterance in split.utterances] == [
        ("u1", "hello", "hallo"),
        ("u2", None, None),
    ]
    (tmp_path / "wav.scp").write_text("u3 a.wav\n")
    manifest.unlink()
    assert load_split(tmp_path, labelled=False).utterances[0].text is None
    with pytest.raises(BadInput, match="u3 has neither"):
        load_split(tmp_path)
