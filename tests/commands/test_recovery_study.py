"""A study that trains its candidates, end to end on a tiny model: trained, kept, exported, and refused without data."""

import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from tests.commands.tiny import write_split, write_study

RECOVERY = """
[recovery]
kind = "fine-tune"
short_steps = 2
long_steps = 4
eta = 2
batch_s = 4.0
masking = false
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")  # cells of tables in one line


def write_recovering_study(folder: Path, trials: int) -> Path:
    study = write_study(folder)
    train = write_split(folder / "train", utterances=6)
    text = study.read_text().replace('analysis = "', f'train = "{train}", analysis = "')
    head, rest = text.split("[space]")
    space = '[space]\nlayers = { decoder = [2, 4], rule = "middle" }\n'
    study.write_text(head + space + rest[rest.index("[budgets]") :].replace("trials = 9", f"trials = {trials}") + RECOVERY)
    return study


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


def points_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[int, Any]:
    capsys.readouterr()
    assert main(["front", str(folder), "--all", "--json"]) == 0
    return {point["trial"]: point for point in printed(capsys)}


def trainings(point: Any) -> list[int]:
    return [stage["steps"] for stage in point["configuration"]["schedule"] if isinstance(stage, dict)]


def test_candidates_are_trained_and_kept_by_their_recovery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_recovering_study(tmp_path, 8), tmp_path / "runs"
    assert main(["run", str(study), "-o", str(folder), "--trials", "3"]) == 0
    assert main(["run", str(study), "-o", str(folder)]) == 0
    points = points_of(folder, capsys)
    assert trainings(points[0]) == []
    assert {tuple(trainings(point)) for number, point in points.items() if number} == {(2,), (2, 2)}
    kept = {path.name for path in (tmp_path / "cache" / "recoveries").iterdir() if len(path.name) == 64}
    assert {point["configuration"]["schedule"][0].partition(":")[2] for point in points.values()} - {""} <= kept
    once = [point["configuration"] for point in points.values() if len(trainings(point)) == 1]
    whole = [json.dumps(each["schedule"]) for each in once if not each["keep"]]  # the opening, and uniform bits once nothing else is left
    assert len(whole) > len(set(whole)) == 1
    number = max(number for number, point in points.items() if len(trainings(point)) == 2)
    assert main(["export", str(folder), "--trial", str(number), "-o", str(tmp_path / "bundle")]) == 0
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["configuration"] == points[number]["configuration"]
    assert "fine-tune 4" in shown(folder, capsys)


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["front", str(folder), "--all"]) == 0
    return capsys.readouterr().out


def test_another_recovery_or_other_data_is_another_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, folder = write_recovering_study(tmp_path, 1), tmp_path / "runs"
    assert main(["run", str(study), "-o", str(folder)]) == 0
    text = study.read_text()
    study.write_text(text.replace("eta = 2", "eta = 3"))
    assert "made of something else: recovery eta is 2 there and 3 here" in refused(["run", str(study), "-o", str(folder)], capsys)
    study.write_text(text)
    write_split(tmp_path / "train", utterances=5)
    assert "made of something else: train split is" in refused(["run", str(study), "-o", str(folder)], capsys)


def test_recovery_without_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path)
    study.write_text(study.read_text() + RECOVERY)
    line = refused(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert line.endswith("recovery needs data.train, a manifest or a folder to train on, got none")
    study = write_recovering_study(tmp_path, 1)
    (tmp_path / "train" / "0.wav").unlink()
    assert "0.wav" in refused(["run", str(study), "-o", str(tmp_path / "runs")], capsys)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["analysis", "search", "test"])
def test_what_trials_are_judged_by_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    study = write_recovering_study(tmp_path, 1)
    text = study.read_text().replace("data = { ", f'data = {{ test = "{write_split(tmp_path / "test")}", ')
    study.write_text(text.replace(str(tmp_path / "train"), str(tmp_path / name)))
    assert f"training data must be apart from {tmp_path / name}, got 4 files of both" in refused(["run", str(study)], capsys)
