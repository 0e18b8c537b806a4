"""`paredown init`: which splits it finds, what it writes and when, and a line for each thing that it refuses."""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import soundfile

from paredown import cli
from paredown.commands import init
from paredown.data import load_split
from paredown.search.study_file import read_spec
from paredown.trials import starting
from paredown.trials.default_study import default_name
from paredown.trials.study_text import Forecast, Machine
from tests.commands.recipe import write_dump
from tests.commands.tiny import write_model, write_split
from tests.models.test_hub import TAG

ST = {"text.tc.de": "a b", "text.lc.rm.en": "x y"}


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    if init not in cli.COMMANDS:
        monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, init))


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built and decoded: what is looked at is which data was found."""
    forecast = Forecast(4_000_000, ((8, 1_000_000), (4, 500_000)), 3, 0.25, 3.0)
    monkeypatch.setattr(starting, "_foretell", lambda model, data, tell: forecast)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def start(*arguments: str | Path) -> int:
    return cli.main(["init", *map(str, arguments)])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert start(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("paredown: ")]
    assert len(lines) == 1
    return lines[0]


def ids(path: str | Path | None) -> set[str]:
    return {utterance.id for utterance in load_split(str(path)).utterances}


def files_in(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_with_its_splits_is_named_as_it_is(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("analysis", "search", "test"):
        folder = write_split(tmp_path / "speech" / name)
        for wav in folder.glob("*.wav"):
            wav.rename(folder / f"{name}-{wav.name}")
        manifest = folder / "manifest.jsonl"
        manifest.write_text(manifest.read_text().replace('"audio": "', f'"audio": "{name}-'))
    (tmp_path / "speech" / "train").mkdir()
    assert start("model", "--data", "speech", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["utterances"] == {"analysis": 4, "search": 4, "test": 4}
    assert figures["utterance_s"] > 0
    assert figures["size_bytes"]["4"] < figures["size_bytes"]["8"] < figures["size_bytes"]["32"]
    spec = read_spec(Path("model.toml"))
    assert (spec.name, spec.model.path, spec.data.search) == ("model", str(model), str(tmp_path / "speech" / "search"))
    assert spec.data.train is None
    assert f'# train = "{tmp_path}/speech/train"' in Path("model.toml").read_text()
    assert not (tmp_path / "model-data").exists()


@pytest.mark.usefixtures("untried")
def test_one_folder_is_divided_in_three_by_the_seed(tmp_path: Path, model: Path) -> None:
    write_split(tmp_path / "all", 33)
    assert start("model", "--data", "all", "-o", "a.toml") == 0
    data = read_spec(Path("a.toml")).data
    parts = [ids(path) for path in (data.analysis, data.search, data.test)]
    assert [len(part) for part in parts] == [11, 11, 11]
    assert set.union(*parts) == ids("all")
    assert "on other speech figures may be worse than test says" in Path("a.toml").read_text()
    assert start("model", "--data", "all", "-o", "b.toml") == 0
    assert start("model", "--data", "all", "-o", "c.toml", "--seed", "1") == 0
    again, other = (read_spec(Path(name)).data for name in ("b.toml", "c.toml"))
    assert ids(again.search) == parts[1] != ids(other.search)
    assert load_split(str(data.search)).references("st") == ("a b c d",) * 11


@pytest.mark.usefixtures("untried")
def test_a_test_split_of_its_own_leaves_two_parts(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(tmp_path / "dev", 20)
    write_split(tmp_path / "held", 3)
    assert start("model", "--data", "dev", "--test", "held") == 0
    data = read_spec(Path("model.toml")).data
    assert [len(ids(path)) for path in (data.analysis, data.search, data.test)] == [10, 10, 3]
    assert data.test == str(tmp_path / "held")
    assert "on other speech" not in Path("model.toml").read_text()
    message = refusal(capsys, "model", "--data", "dev", "--test", "dev", "-o", "other.toml")
    assert "splits must share no recording, got" in message


@pytest.mark.usefixtures("untried", "model")
def test_a_large_folder_gives_no_more_than_a_trial_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_split(tmp_path / "all", 1)
    row = json.loads((folder / "manifest.jsonl").read_text())
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row | {"id": f"u{number}"}) + "\n" for number in range(900)))
    monkeypatch.setattr(starting, "_check_apart", lambda data: None)  # the 900 share one file, so that this takes a moment
    assert start("model", "--data", "all") == 0
    data = read_spec(Path("model.toml")).data
    assert [len(ids(path)) for path in (data.analysis, data.search, data.test)] == [100, 200, 600]


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize("given", ["st1", "st1/dump/raw"])
def test_a_recipes_folders_are_chosen_by_their_usual_names(tmp_path: Path, model: Path, given: str) -> None:
    for name, count in (("train_sp", 2), ("dev", 20), ("test", 3)):
        write_dump(tmp_path / "st1", name, count, 0, ST | {"text": "x y"} if name != "train_sp" else ST)
    (tmp_path / "st1" / "exp").mkdir()
    for name in ("dev", "test"):
        (tmp_path / "st1" / "dump" / "raw" / name / "text.lc.rm.en").unlink()
    assert start("model", "--data", given) == 0
    text, data = Path("model.toml").read_text(), read_spec(Path("model.toml")).data
    assert [len(ids(path)) for path in (data.analysis, data.search, data.test)] == [10, 10, 3]
    assert "10 of the 20 utterances of dev, drawn with seed 0" in text
    assert f'# train = "{tmp_path}/st1/dump/raw/train_sp"' in text
    assert load_split(str(data.test)).references("st") == ("a b",) * 3


@pytest.mark.usefixtures("untried")
def test_recipe_folders_that_leave_a_choice_are_named(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"text": "x y", "text.de": "a b"}
    for name in ("dev.a", "tst-COMMON", "tst-HE"):
        write_dump(tmp_path / "st1", name, 20, 0, texts)
    message = refusal(capsys, "model", "--data", "st1/dump/raw")
    assert message.endswith("the test split must be one folder with wav.scp, got tst-COMMON, tst-HE: name it by --test FOLDER")
    assert start("model", "--data", "st1/dump/raw", "--test", "st1/dump/raw/tst-HE") == 0
    write_dump(tmp_path / "st1", "dev.b", 20, 0, texts)
    message = refusal(capsys, "model", "--data", "st1/dump/raw", "-o", "b.toml")
    assert message.endswith("the development split must be one folder with wav.scp, got dev.a, dev.b: name it by --data FOLDER/ONE")
    for name in ("dev.a", "dev.b"):
        shutil.rmtree(tmp_path / "st1" / "dump" / "raw" / name)
    assert "got none among tst-COMMON, tst-HE" in refusal(capsys, "model", "--data", "st1/dump/raw", "-o", "b.toml")


def test_too_few_utterances_are_refused(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(tmp_path / "few", 29)
    assert "which takes at least 30 utterances, got 29" in refusal(capsys, "model", "--data", "few")
    write_split(tmp_path / "fewer", 19)
    assert "divided into analysis, search, which takes at least 20 utterances, got 19" in refusal(
        capsys, "model", "--data", "fewer", "--test", "few"
    )
    assert not Path("model.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["model"], "--data is needed but with a bundled model, which brings its splits; got none with model"),
        (["bundled:tatoeba-en-de", "--test", "all"], "--test goes with --data, got --test all alone"),
        (["model", "--data", "nowhere"], "--data must exist, got nowhere"),
        (["model", "--data", "empty"], "a folder of splits or a recipe's data; empty is none"),
        (["gone", "--data", "all"], "a model must be a folder with config.yaml and *.pth, got gone, which is not there"),
        (["model", "--data", "all", "-o", "study.yaml"], "a study file ends in .toml, got study.yaml"),
        (["model", "--data", "all", "-o", "no/where.toml"], "the folder of a study file must exist, got no/where.toml"),
        (["model", "--data", "all", "--name", "a/b", "-o", "s.toml"], "a name becomes a folder: letters, digits"),
        (["model", "--data", "all", "--seed", "-1"], "a seed must be a whole number of at least 0, got '-1'"),
        (["model", "--data", "unsaid"], "has no translation, which scoring a model of task 'st' needs"),
    ],
)
@pytest.mark.usefixtures("untried", "model")
def test_what_cannot_be_is_refused_with_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    write_split(tmp_path / "all", 30)
    (tmp_path / "empty").mkdir()
    unsaid = write_split(tmp_path / "unsaid", 30) / "manifest.jsonl"
    unsaid.write_text(unsaid.read_text().replace('"translation"', '"unread"'))
    before = files_in(tmp_path)
    assert expected in refusal(capsys, *arguments)
    assert files_in(tmp_path) == before


@pytest.mark.usefixtures("untried", "model")
def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(tmp_path / "all", 30)
    assert start("model", "--data", "all", "-o", "s.toml") == 0
    Path("s.toml").write_text("mine")
    assert "is replaced only where that is asked for (--force), got s.toml" in refusal(capsys, "model", "--data", "all", "-o", "s.toml")
    assert Path("s.toml").read_text() == "mine"
    manifests = files_in(tmp_path / "s-data")
    message = refusal(capsys, "model", "--data", "all", "-o", "s.toml", "--force", "--seed", "7")
    assert "data is never overwritten, got" in message
    assert Path("s.toml").read_text() == "mine"
    assert start("model", "--data", "all", "-o", "s.toml", "--force") == 0  # the same manifests
    assert files_in(tmp_path / "s-data") == manifests
    assert read_spec(Path("s.toml")).name == "s"
    (tmp_path / "t-data").mkdir()
    (tmp_path / "t-data" / "notes.txt").write_text("mine")
    assert "which holds other files" in refusal(capsys, "model", "--data", "all", "-o", "t.toml")
    assert (tmp_path / "t-data" / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("untried", "model")
def test_audio_of_an_archive_is_kept_beside_the_study(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    folder = tmp_path / "st1" / "dump" / "raw" / "dev"
    folder.mkdir(parents=True)
    archive, lines = b"", []
    for number in range(30):
        buffer = io.BytesIO()
        soundfile.write(buffer, generator.normal(0, 0.1, 4000), 16_000, format="FLAC")
        content = buffer.getvalue()
        archive += f"u{number} ".encode()
        lines.append(f"u{number} {folder}/data_wav.ark:{len(archive)}\n")
        archive += b"AUDIO" + bytes([4]) + len(content).to_bytes(4, "little") + content
    (folder / "data_wav.ark").write_bytes(archive)
    (folder / "wav.scp").write_text("".join(lines))
    (folder / "text").write_text("".join(f"u{number} x y\n" for number in range(30)))
    (folder / "text.de").write_text("".join(f"u{number} a b\n" for number in range(30)))
    assert start("model", "--data", folder, "-o", "s.toml") == 0
    shutil.rmtree(tmp_path / "cache")  # a study outlives the cache
    split = load_split(str(read_spec(Path("s.toml")).data.search))
    assert {utterance.audio.parent for utterance in split.utterances} == {tmp_path / "s-data"}
    assert soundfile.info(split.utterances[0].audio).frames == 4000


@pytest.mark.usefixtures("untried", "model")
@pytest.mark.parametrize("counted", [True, False])
def test_energy_is_asked_for_only_where_it_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: bool) -> None:
    write_split(tmp_path / "all", 30)
    machine = Machine("A Processor, 4 cores", "exact", counted, "" if counted else "no counters; measure on the metal")
    monkeypatch.setattr(starting, "look_at_machine", lambda: machine)
    assert start("model", "--data", "all") == 0
    text = Path("model.toml").read_text()
    assert read_spec(Path("model.toml")).objectives.energy == (("cpu",) if counted else ())
    assert ("not counted here: no counters; measure on the metal" in text) == (not counted)
    assert "A Processor, 4 cores; int8 products exact" in text


@pytest.mark.usefixtures("untried", "model")
def test_every_key_has_a_comment_and_lines_are_short(tmp_path: Path) -> None:
    write_split(tmp_path / "all", 30)
    assert start("model", "--data", "all") == 0
    lines = Path("model.toml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if "=" in line.split("#")[0]]
    assert len(keys) > 12
    for number in keys:
        assert "#" in lines[number] or lines[number - 1].startswith("#"), lines[number]
    assert '# size = "500 kB"' in "\n".join(lines)
    assert '# "latency@cpu" = "125 ms"' in "\n".join(lines)


@pytest.mark.usefixtures("untried")
def test_a_bundled_model_brings_its_splits(capsys: pytest.CaptureFixture[str]) -> None:
    assert start("bundled:tatoeba-en-de") == 0
    assert "paredown run tatoeba-en-de.toml --dry-run" in capsys.readouterr().out
    spec = read_spec(Path("tatoeba-en-de.toml"))
    assert (spec.model.path, spec.data.search) == ("bundled:tatoeba-en-de", None)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("exp/st_train_raw/valid.acc.ave_10best.pth", "st_train_raw"),
        ("exp/st_train_raw/", "st_train_raw"),
        ("espnet/some model@main", "some-model"),
        ("bundled:tatoeba-en", "tatoeba-en"),
        ("/", "study"),
    ],
)
def test_a_study_is_named_after_its_model(given: str, name: str) -> None:
    assert default_name(given) == name


@pytest.mark.parametrize(("trial_s", "trials", "limit"), [(0.1, 60, "30 min"), (60.0, 60, "3 h"), (200.0, 36, "6 h"), (1e4, 20, "167 h")])
def test_trials_and_time_follow_from_what_was_tried(trial_s: float, trials: int, limit: str) -> None:
    found: Any = Forecast(1, ((8, 1), (4, 1)), 3, 0.1, trial_s)
    assert (found.trials, found.limit) == (trials, limit)


@pytest.mark.usefixtures("untried")
def test_a_tag_of_the_hub_is_pinned_to_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "hub" / "snapshots" / ("ab" * 20)
    write_model(snapshot / "exp" / "st_train")
    meta = {"files": {"st_model_file": "exp/st_train/model.pth"}, "yaml_files": {"st_train_config": "exp/st_train/config.yaml"}}
    (snapshot / "meta.yaml").write_text(json.dumps(meta))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *names, **options: str(snapshot))
    write_split(tmp_path / "all", 30)
    assert start(TAG, "--data", "all", "-o", "s.toml") == 0
    assert read_spec(Path("s.toml")).model.path == f"{TAG}@{'ab' * 20}"
    guide = Path(__file__).parents[2] / "docs" / "guides" / "own_model.md"
    assert f"paredown init {TAG} --data dump/raw\n" in guide.read_text(encoding="utf-8")
