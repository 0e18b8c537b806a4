"""What `front` and `show` tell of trials that were trained: how long, on what, from which weights."""

import json
from pathlib import Path

import pytest

from paredown.cli import main
from paredown.search.confirmation import Confirmation, Planned, write_confirmation
from paredown.search.loop import run_study
from paredown.search.recovery import rung_of
from paredown.search.study import read_trials
from tests.search import toy
from tests.search.recovering_toy import DATA, evaluate, recovering, spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("study")
    with toy.open_study(place, spec(18)) as study:
        run_study(study, evaluate, toy.given(), recovering=recovering())
    return place


def test_the_front_tells_how_long_each_was_trained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["front", str(folder), "--all"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "distill 10 steps" in told
    assert "distill 30 steps" in told
    assert "no loss" not in told
    assert main(["front", str(folder), "--json"]) == 0
    assert {point["confirmed"] for point in json.loads(capsys.readouterr().out)} == {None}


def test_show_tells_every_stage(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a line for each stage
    trained = [trial for trial in read_trials(folder) if rung_of(trial) == 1]
    inherited = [trial for trial in read_trials(folder) if trial.configuration.inherited is not None]
    assert main(["show", str(folder), "--trial", str(trained[0].number)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "drop -> narrow -> factorize -> prune -> distill -> distill -> quantize" in told
    assert f"training 1 │ distill; 10 steps; rate 0.0005; batches of 78 s; data {DATA[:12]} (1 x references); teacher 0.5; seed 0" in told
    assert "training 2 │ distill; 20 steps;" in told
    assert "seed 1" in told
    assert main(["show", str(folder), "--trial", str(inherited[0].number)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"as recovery {inherited[0].configuration.inherited[:12]} left them" in told  # type: ignore[index]
    assert "recovered -> drop" in told


def test_a_trial_that_was_not_trained_has_no_schedule_to_tell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(folder), "--trial", "0"]) == 0
    told = capsys.readouterr().out
    assert "schedule" not in told
    assert "training" not in told


def test_a_record_that_tested_nothing_yet_marks_nobody(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # a line for each trial
    first = read_trials(folder)[1]
    write_confirmation(Confirmation("chrf", 1.0, "size", "a" * 64, "b" * 64, "x/test", (Planned(1, first.digest, 1.0, 0.5),)), folder)
    assert main(["front", str(folder), "--all"]) == 0
    told = capsys.readouterr().out
    assert "tested on x/test within 1 chrF" in " ".join(told.split())
    rows = [row for row in told.splitlines() if row.startswith("│")]
    assert {row.split("│")[-2].strip() for row in rows} == {""}
    assert len(rows) > 1
