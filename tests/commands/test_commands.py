"""The commands as a user types them, on a tiny random model: what they print, what they leave on disk, how they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.commands.printing import console, table
from paredown.models import load_model
from tests.commands.tiny import write_model, write_split, write_study


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, a split and a bundle of 8 bits."""
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    write_split(folder / "data")
    assert main(["convert", str(folder / "model"), "--bits", "8", "-o", str(folder / "bundle")]) == 0
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command refuses its input."""
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert captured.out == ""
    return lines[0]


def test_convert_says_size_and_parity(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(place / "model"), "--bits", "4", "-o", str(place / "four"), "--json"]) == 0
    figures = printed(capsys)
    assert figures["size_bytes"] == sum(path.stat().st_size for path in (place / "four").iterdir())
    assert figures["parity"]["max_abs_encoder"] < 1e-4


def test_translate_prints_a_line_for_each_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(place / "data" / f"{number}.wav") for number in range(3)]
    assert main(["translate", str(place / "bundle"), *files]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_evaluate_gives_the_stable_keys(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(place / "bundle"), "--data", str(place / "data"), "--workers", "1", "--json"]) == 0
    figures = printed(capsys)
    assert {"bleu", "chrf", "chrf++", "wer"} <= set(figures)
    assert set(figures["chrf"]) == {"value", "ci95", "utterances", "signature"}


def test_schema_and_doctor_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "space" in printed(capsys)["properties"]
    assert main(["doctor", "--json"]) == 0
    findings = printed(capsys)
    assert "run bundles" in {finding["subject"] for finding in findings}
    assert all(set(finding) == {"section", "subject", "state", "found", "evidence", "enable"} for finding in findings)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert all(finding["subject"] in text for finding in findings)


def test_tables_print_brackets_as_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table("t", ("what", "how"), [("torch", "pip install 'paredown[models]'")]))
    assert "'paredown[models]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "{place}/nowhere", "-o", "{place}/out"], "nowhere"),
        (["convert", "bundled:none", "-o", "{place}/out"], "tatoeba-en-de"),
        (["convert", "{place}/model", "--bits", "9", "-o", "{place}/out"], "2 to 8.* got 9"),
        (["convert", "{place}/model", "-o", "{place}/data"], "data"),
        (["convert", "{place}/model", "--configuration", "{place}/model/config.yaml", "-o", "{place}/out"], "is no configuration"),
        (["translate", "{place}/bundle", "{place}/missing.wav"], "missing.wav"),
        (["translate", "{place}/bundle", "{place}/bundle/manifest.json"], "manifest.json"),
        (["translate", "{place}/data", "{place}/data/0.wav"], "data"),
        (["evaluate", "{place}/bundle", "--data", "{place}/nowhere.jsonl"], "nowhere.jsonl"),
        (["evaluate", "{place}/data", "--data", "{place}/data"], "neither"),
        (["evaluate", "{place}/bundle", "--data", "{place}/data", "--first", "0"], "at least 1, got '0'"),
        (["run", "{place}/nowhere.toml", "--data", "{place}/data"], "--data"),
        (["tranlsate", "{place}/bundle"], "translate"),
        (["front", "{place}/nowhere"], "study.db"),
        (["run", "{place}/nowhere.toml"], "nowhere.toml"),
        (["export", "{place}/nowhere", "--pick", "knee", "-o", "{place}/out"], "study.db"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(place: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.iterdir())
    line = refused([argument.format(place=place) for argument in arguments], capsys)
    assert message.split(".*")[0] in line
    assert sorted(place.iterdir()) == before


def test_a_study_from_run_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    folder = str(tmp_path / "runs")
    assert main(["run", str(study), "-o", folder, "--json"]) == 0
    assert "all 9 trials are done" in printed(capsys)["why"]
    assert main(["front", folder, "--all", "--json"]) == 0
    points = printed(capsys)
    assert len({json.dumps(point["configuration"], sort_keys=True) for point in points}) == 9
    assert sum(point["on_front"] for point in points) >= 1
    assert main(["show", folder, "--trial", "0", "--json"]) == 0
    first = printed(capsys)
    assert first["label"] == "uncompressed"
    assert first["measurements"]["quality"]["value"] == 0
    assert main(["export", folder, "--pick", "smallest", "-o", str(tmp_path / "pick"), "--json"]) == 0
    exported = printed(capsys)
    assert json.loads((tmp_path / "pick" / "measurements.json").read_text())["trial"] == exported["trial"]
    sizes = {point["trial"]: point["values"]["size_bytes"] for point in points}
    assert exported["size_bytes"] == min(sizes.values())
    assert main(["export", folder, "--pick", "smallest", "--self-contained", "-o", str(tmp_path / "plain"), "--json"]) == 0
    assert printed(capsys)["trial"] == exported["trial"]
    assert main(["export", folder, "--trial", str(exported["trial"]), "--as", "espnet", "-o", str(tmp_path / "checkpoint")]) == 0
    assert {"encoder.onnx", "README.txt"} <= {path.name for path in (tmp_path / "plain").iterdir()}
    assert load_model(tmp_path / "checkpoint").task == "st"
    capsys.readouterr()
    assert main(["status", str(tmp_path), "--json"]) == 0
    assert printed(capsys)[0]["trials"] == 9
    # the same command again finds nothing to do and repeats nothing
    assert main(["run", str(study), "-o", folder]) == 0
    capsys.readouterr()
    assert main(["front", folder, "--all", "--json"]) == 0
    assert printed(capsys) == points


def test_a_study_file_is_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, size="1 kB")
    assert "cannot be reached" in refused_last(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert not (tmp_path / "runs").exists()
    study.write_text(study.read_text().replace("trials = 9", "trails = 9"))
    assert "trials" in refused(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("decoder = [2, 4]", "decoder = [2, 5]", "the model has 4 decoder blocks; got [2, 5]"),
        ("[search]", '"latency@cpu" = "1 us"\n[search]', "latency@cpu"),
        ('"decoder.feed_forward"', '"ctc"', "groups of this model"),
    ],
)
def test_what_the_model_cannot_give_is_refused(
    tmp_path: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_study(tmp_path)
    study.write_text(study.read_text().replace(old, new))
    assert message in refused_last(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert not (tmp_path / "runs").exists()


def test_corrupt_audio_is_found_before_the_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    (tmp_path / "search" / "2.wav").write_bytes(b"RIFF but no sound")
    assert "2.wav" in refused_last(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert not (tmp_path / "runs").exists()


def test_a_study_of_another_model_or_space_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_study(tmp_path), str(tmp_path / "runs")
    assert main(["run", str(study), "-o", folder, "--trials", "2"]) == 0
    study.write_text(study.read_text().replace("max = 0.5", "max = 0.6"))
    assert "another space" in refused_last(["run", str(study), "-o", folder, "--trials", "2"], capsys)
    write_split(tmp_path / "search", utterances=3)
    assert "search split" in refused(["run", str(study), "-o", folder, "--trials", "2"], capsys)


def refused_last(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that told its steps before it refused."""
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_a_budget_on_energy_needs_a_study_that_counted_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_study(tmp_path), tmp_path / "runs"
    study.write_text(study.read_text().replace("trials = 9", "trials = 1"))
    assert main(["run", str(study), "-o", str(folder)]) == 0
    rule = "a budget on energy@cpu needs a study that counted energy, tiny did not; got '200mJ'"
    assert rule in refused(["front", str(folder), "--budget", "energy@cpu=200mJ"], capsys)
    assert rule in refused(["export", str(folder), "--pick", "knee", "--budget", "energy@cpu=200mJ", "-o", str(tmp_path / "out")], capsys)
    assert not (tmp_path / "out").exists()


def test_hypotheses_are_refused_before_anything_is_decoded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(place / "bundle"), "--data", str(place / "data"), "--hypotheses", str(place)]
    assert "--hypotheses must be a file that can be written" in refused(arguments, capsys)
