"""`paredown front` on toy studies: what it says of stopped trials, of budgets that nobody keeps, and of several studies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from paredown.cli import main
from paredown.commands import fronts
from paredown.profilers.measurement import Measurement
from paredown.search.final import Final, FinalPoint, write_final
from paredown.search.outcome import Outcome
from paredown.search.spec import StudySpec
from paredown.search.study import Study, read_trials
from paredown.search.trial import Candidate
from paredown.space.configuration import Configuration, Decode
from tests.search import toy

FAST, SLOW = {"target's cpu": "fast"}, {"target's cpu": "slow"}
Figures = tuple[float, float, float]


def write(folder: Path, name: str, figures: list[Figures], facts: dict[str, str] | None = None, stopped: tuple[Outcome, ...] = ()) -> str:
    """A study of these figures, the first of them of the uncompressed model; then what was stopped."""
    spec: StudySpec = toy.toy_spec(name)
    identity = toy.IDENTITY | {"search split": "abc"} | (FAST if facts is None else facts)
    with Study.open(folder / name, spec, toy.make_space(), spec.objective_list, (), identity) as study:
        for number, row in enumerate(figures):
            label = "search" if number else "uncompressed"
            running = study.storage.begin(Candidate(label, Configuration(decode=Decode(beam_size=number + 1))), study.space.knobs)
            study.storage.complete(running, toy.outcome(*row), row, {}, 1.0)
        for number, partial in enumerate(stopped):
            running = study.storage.begin(Candidate("search", Configuration(decode=Decode(beam_size=100 + number))), study.space.knobs)
            study.storage.stop(running, partial, "why", 0.1)
    return str(folder / name)


ROWS: list[Figures] = [(0.0, 100.0, 16e6), (-3.0, 60.0, 4e6), (-3.5, 59.0, 3.9e6), (-9.0, 90.0, 9e6)]
SIZE = Outcome(toy.outcome(0.0, 1.0, 3e6).measurements[-1:])
RACED = toy.outcome(-20.0, 50.0, 3.5e6)


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str, width: int = 220) -> str:
    monkeypatch.setattr(fronts, "console", lambda: Console(width=width))
    assert main(["front", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["front", *arguments, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_stopped_trials_are_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, "s", ROWS, stopped=(SIZE, RACED, SIZE))
    told = shown(capsys, monkeypatch, folder, "--all")
    assert "4 trials complete, 3 on the front." in told
    assert "3 of 7 trials were stopped early: 1 raced out, 2 over budget." in told
    found = listed(capsys, folder, "--all")
    assert [point["trial"] for point in found] == [0, 1, 2, 3]
    assert {json.dumps(point["stopped_early"]) for point in found} == {'{"raced_out": 1, "over_budget": 2, "of": 7}'}
    assert "stopped early" not in shown(capsys, monkeypatch, write(tmp_path, "none", ROWS))


def test_what_is_not_told_apart_is_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trial 2 loses half a point, within the intervals, is a little faster and smaller for sure: so 1 is contested by it, not it by 1."""
    folder = write(tmp_path, "s", [*ROWS[:3]])
    found = {point["trial"]: point["indistinguishable"] for point in listed(capsys, folder)}
    assert found == {0: [], 1: [2], 2: []}
    told = shown(capsys, monkeypatch, folder)
    assert "│ size MB │ ≈ │" in told.replace("┃", "│")
    assert "≈ lists trials that this one is not shown to beat in anything" in told
    assert "≈" not in shown(capsys, monkeypatch, write(tmp_path, "apart", [ROWS[0], ROWS[1]]))


def test_where_nothing_keeps_the_budgets_the_nearest_come_first_with_what_they_miss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, "s", ROWS, stopped=(SIZE,))
    budgets = ("--budget", "size=3.2MB", "--budget", "quality=-1.0")
    told = shown(capsys, monkeypatch, folder, *budgets)
    nearest = "Best of each: size 3 MB (trial 4, stopped early), quality 0 chrF (trial 0)."
    assert f"NO TRIAL KEEPS size <= 3.2 MB, quality >= -1 chrF: those that miss least come first. {nearest}" in told
    assert "no: size 800 kB above, quality 2 chrF below" in told
    found = listed(capsys, folder, *budgets)
    assert [point["trial"] for point in found] == [1, 2, 0]  # violations 0.45, 0.47 and 4
    assert found[0]["misses"] == {"size": 0.8e6, "quality": 2.0}
    assert not any(point["feasible"] for point in found)
    assert main(["export", folder, "--pick", "knee", *budgets, "-o", str(tmp_path / "out")]) == 2
    assert "nearest is trial 1: size is 4 MB, 800 kB above and quality is -3 chrF, 2 chrF below" in capsys.readouterr().err


def test_what_misses_least_is_shown_even_beside_the_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trial 2 is dominated by 1 in latency alone, which no budget is about."""
    folder = write(tmp_path, "s", [(0.0, 100.0, 16e6), (-3.0, 60.0, 4e6), (-3.0, 70.0, 4e6)])
    assert [point["trial"] for point in listed(capsys, folder, "--budget", "size=1MB")] == [1, 2, 0]
    assert [point["trial"] for point in listed(capsys, folder, "--budget", "size=5MB")] == [0, 1]


def test_two_studies_on_one_front(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = write(tmp_path, "one", ROWS), write(tmp_path, "two", [ROWS[0], (-1.0, 50.0, 3e6)])
    found = listed(capsys, one, two)
    assert [(point["study"], point["trial"]) for point in found] == [("one", 0), ("two", 0), ("two", 1)]
    assert set(found[0]["values"]) == {"quality", "latency_ms@cpu", "size_bytes"}
    told = shown(capsys, monkeypatch, one, two, "--all")
    assert "front of one and two" in told
    assert "one: 4 trials complete, 1 on the front; two: 2 trials complete, 2 on the front." in told
    assert "│ two 1" in told
    assert "different targets" not in told


def test_two_laptops_are_compared_by_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fast = write(tmp_path, "fast", [ROWS[0], (-1.0, 60.0, 4e6)])
    slow = write(tmp_path, "slow", [(0.0, 400.0, 16e6), (-1.0, 200.0, 4e6)], SLOW)
    found = {(point["study"], point["trial"]): point["values"]["latency_ratio@cpu"] for point in listed(capsys, fast, slow, "--all")}
    assert found == {("fast", 0): 1.0, ("fast", 1): 0.6, ("slow", 0): 1.0, ("slow", 1): 0.5}
    told = shown(capsys, monkeypatch, fast, slow)
    assert "latency@cpu x uncompressed" in told
    assert "Measured on different targets (cpu is" in told


def test_what_cannot_stand_on_one_front_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = write(tmp_path, "one", ROWS), write(tmp_path, "other", ROWS, {"model": "xyz"})
    assert main(["front", one, other]) == 2
    err = capsys.readouterr().err
    rule = "studies on one front must be of one model, search split and quality metric"
    assert err == f'paredown: {rule}: model is "abc" in one and "xyz" in other\n'
    assert main(["front", one, str(tmp_path / "nowhere")]) == 2
    assert "study.db" in capsys.readouterr().err
    assert main(["front", one, one]) == 2
    assert "must have distinct names" in capsys.readouterr().err


def test_studies_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    folders = [write(tmp_path / place, "same", ROWS[: number + 1]) for number, place in enumerate("ab")]
    assert {point["study"] for point in listed(capsys, *folders)} == set(folders)


def test_a_study_without_a_trial_has_an_empty_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, "s", [])
    assert listed(capsys, folder) == []
    assert listed(capsys, folder, "--budget", "size=1MB") == []
    assert main(["front", folder]) == 0
    assert "0 trials complete, 0 on the front" in " ".join(capsys.readouterr().out.split())


def test_final_figures_stand_beside_those_of_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the front have strict latency, one of them quality on test, which was looked at after three trials of four."""
    folder = write(tmp_path, "s", ROWS)
    assert {point["final"] for point in listed(capsys, folder)} == {None}
    assert "strict" not in shown(capsys, monkeypatch, folder)
    strict = [Measurement(61.5, "ms", (61.0, 62.0)), Measurement(float("nan"), "ms", provenance="unavailable")]
    record = Final("chrf", "m", test_split="abc", split="made/test", finished=4, looks=(3,))
    for trial, figure in zip(read_trials(Path(folder))[1:3], strict, strict=True):
        assert trial.outcome is not None
        record = record.with_point(FinalPoint(trial.number, trial.digest, trial.outcome).with_strict("latency_ms@cpu", figure))
    tested = Outcome((("quality", Measurement(-4.25, "chrF", (-5.0, -3.5))), ("chrf", Measurement(40.0, "chrF"))))
    write_final(record.with_point(replace(record.points[0], test=tested)), Path(folder))
    told = shown(capsys, monkeypatch, folder)
    assert "strict latency@cpu ms" in told
    assert "test quality" in told
    assert "61.5 [61.0, 62.0]" in told
    assert "-4.25 [-5.00, -3.50]" in told
    assert "unavailable" in told
    assert "strict size" not in told
    assert "test: quality on made/test. Nothing is chosen by these (see paredown finish)." in told
    assert "Warning: test was looked at before the search went on, after 3 trials; 1 followed" in told
    found = {point["trial"]: point["final"] for point in listed(capsys, folder)}
    assert found[0] is None
    assert found[1]["strict"]["latency_ms@cpu"]["value"] == 61.5
    assert found[1]["test"]["quality"]["value"] == -4.25
    assert found[1]["searched_after_test"]
    assert found[2]["test"] == {}
