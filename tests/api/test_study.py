"""The verbs of a study as a program calls them, beside what the commands print and write of the same study."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import paredown
from paredown.cli import main

LOOSE = {"quality": -100.0}


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_ten_lines(place: Path, tmp_path: Path) -> None:
    told: list[str] = []
    study = paredown.run(place / "tiny.toml", trials=4, folder=place / "study", tell=told.append)
    assert told[-1].startswith(f"{place / 'study'}: ")
    for point in study.front(budgets=LOOSE):
        assert point.feasible
        assert point.on_front
    trial = study.pick("smallest", budgets=LOOSE)
    bundle = study.export(trial, tmp_path / "small")
    translator = paredown.Translator.from_bundle(bundle.folder)
    alone = translator.translate(place / "search" / "0.wav")
    (again,) = paredown.translate(bundle, place / "search" / "0.wav")
    assert alone.ids == again.ids
    assert bundle.size_bytes == sum(path.stat().st_size for path in bundle.folder.iterdir() if path.name != "measurements.json")


def test_the_front_is_that_of_the_command(study: paredown.Study, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(["front", str(study.folder), "--budget", "quality=-0.5", "--json"], capsys)
    points = study.front(budgets={"quality": "-0.5"})
    assert [point.to_dict() for point in points] == rows
    assert [point.trial for point in points] == [row["trial"] for row in rows]
    assert [dict(point.values) for point in points] == [row["values"] for row in rows]
    assert [point.feasible for point in points] == [row["feasible"] for row in rows]
    everything = printed(["front", str(study.folder), "--all", "--json"], capsys)
    assert [point.to_dict() for point in study.front(every=True)] == everything
    assert len(everything) > 1


def test_values_are_those_of_the_measurements(study: paredown.Study) -> None:
    for point in study.front(every=True):
        assert {name: point.measurements[name].value for name in point.values} == dict(point.values)
        assert point.configuration == study.trial(point.trial).configuration


def test_a_pick_and_its_bundle_are_those_of_the_command(study: paredown.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pick = ["--pick", "smallest", "--budget", "quality=-100"]
    figures = printed(["export", str(study.folder), *pick, "-o", str(tmp_path / "command"), "--json"], capsys)
    bundle = study.export(study.pick("smallest", LOOSE), tmp_path / "program")
    assert study.pick("smallest", LOOSE).number == figures["trial"]
    names = {path.name for path in (tmp_path / "command").iterdir()}
    assert names == {path.name for path in bundle.folder.iterdir()}
    for name in names:
        assert (bundle.folder / name).read_bytes() == (tmp_path / "command" / name).read_bytes(), name
    assert bundle.to_dict() | {"bundle": figures["bundle"], "trial": figures["trial"]} == figures


def test_a_trial_is_named_by_its_number_too(study: paredown.Study, tmp_path: Path) -> None:
    by_number, by_trial = study.export(1, tmp_path / "one"), study.export(study.trial(1), tmp_path / "two")
    assert (by_number.folder / "manifest.json").read_bytes() == (by_trial.folder / "manifest.json").read_bytes()


def test_what_is_wrong_is_said_in_a_line(study: paredown.Study, tmp_path: Path) -> None:
    with pytest.raises(paredown.BadInput, match="a study is a folder with a"):
        paredown.Study(tmp_path)
    with pytest.raises(paredown.BadInput, match="a study file must exist"):
        paredown.run(tmp_path / "none.toml")
    with pytest.raises(paredown.BadInput, match="did you mean smallest"):
        study.pick("smalest")
    with pytest.raises(paredown.BadInput, match="a budget is on one of"):
        study.front(budgets={"bytes": 3})
    with pytest.raises(paredown.BadInput, match="no trial keeps"):
        study.pick("knee", budgets={"size": "1 B"})
    with pytest.raises(paredown.BadInput, match="the study has the trials 0 to"):
        study.export(1000, tmp_path / "bundle")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(paredown.BadInput):
        study.export(0, tmp_path / "mine", force=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]


def test_a_budget_that_nothing_keeps_hides_nothing(study: paredown.Study) -> None:
    points = study.front(budgets={"size": "1 B"})
    assert not any(point.feasible for point in points)
    assert all(set(point.missed) == {"size"} and point.missed["size"] > 0 for point in points)


def test_another_form_and_force(study: paredown.Study, tmp_path: Path) -> None:
    checkpoint = study.export(0, tmp_path / "espnet", form="espnet")
    assert (checkpoint.folder / "config.yaml").is_file()
    with pytest.raises(paredown.BadInput, match="force"):
        study.export(0, tmp_path / "espnet", form="espnet")
    assert study.export(0, tmp_path / "espnet", form="espnet", force=True).form == "espnet"


def test_the_study_of_another_model_is_refused(study: paredown.Study, place: Path, tmp_path: Path) -> None:
    moved = tmp_path / "study"
    shutil.copytree(study.folder, moved)
    text = (moved / "study.toml").read_text()
    (moved / "study.toml").write_text(text.replace(str(place / "model"), "bundled:tatoeba-en-de"))
    with pytest.raises(paredown.BadInput, match="is not the model that was studied"):
        paredown.Study(moved).export(0, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_finish_without_test(study: paredown.Study, tmp_path: Path) -> None:
    copied = paredown.Study(shutil.copytree(study.folder, tmp_path / "study"))
    final = copied.finish(unseen=True, time=1.0)
    assert final.points
    assert {point.trial for point in final.points} <= {trial.number for trial in copied.trials}
    with pytest.raises(paredown.BadInput, match="leaves test unseen"):
        copied.finish("somewhere", unseen=True)
