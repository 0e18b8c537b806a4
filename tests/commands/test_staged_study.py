"""`paredown run` in stages, end to end on a tiny model: budgets, other studies to begin with, all of it off, and a run that was cut off."""

import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.data import Split
from paredown.search.study import read_trials
from paredown.search.trial import Trial
from paredown.trials.decoding import Decoder
from tests.commands.tiny import write_study

TRIALS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file, a finished study `first` and the caches that it filled."""
    place = tmp_path_factory.mktemp("made")
    study = write_study(place)
    study.write_text(study.read_text().replace("trials = 9", f"trials = {TRIALS}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(place / "cache"))
        assert run(study, place / "first") == 0
    return place


@pytest.fixture(autouse=True)
def _cache(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(made / "cache"))


def run(study: Path, folder: Path, *more: str) -> int:
    return main(["run", str(study), "-o", str(folder), *more])


def changed(made: Path, tmp_path: Path, *lines: str) -> Path:
    """The study file with more in its last section, [search]."""
    study = tmp_path / "changed.toml"
    study.write_text((made / "tiny.toml").read_text() + "".join(f"{line}\n" for line in lines))
    return study


def complete(folder: Path) -> list[Trial]:
    return [trial for trial in read_trials(folder) if trial.state == "complete"]


class Decoding:
    """Counts utterances that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.utterances = 0
        decode = Decoder.decode

        def counted(decoder: Decoder, bundle: Path, split: Split, *more: Any, **named: Any) -> Any:
            self.utterances += len(split)
            return decode(decoder, bundle, split, *more, **named)

        monkeypatch.setattr(Decoder, "decode", counted)


def test_stages_leave_nothing_out(made: Path) -> None:
    trials = read_trials(made / "first")
    assert len(trials) == TRIALS
    assert {trial.state for trial in trials} <= {"complete", "stopped"}
    assert trials[0].label == "uncompressed"
    for trial in complete(made / "first"):
        assert trial.outcome is not None
        assert set(trial.outcome.measurement_of) >= {"quality", "chrf", "latency_ms@cpu", "size_bytes", "params", "macs"}
        assert trial.outcome.estimated == ()
    for trial in trials:
        if trial.state == "stopped":
            assert trial.partial is not None
            assert trial.reason


def test_the_same_study_again_decodes_the_uncompressed_model_alone(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyses, hypotheses and costs are in the cache; given candidates come in the same order, and only the last may differ."""
    decoding = Decoding(monkeypatch)
    assert run(made / "tiny.toml", tmp_path / "again", "--trials", "3") == 0
    assert decoding.utterances == 4
    before, after = read_trials(made / "first")[:3], read_trials(tmp_path / "again")
    for old, new in zip(before, after, strict=True):
        assert old.digest == new.digest
        if old.outcome is not None and new.outcome is not None:
            assert old.outcome.value("quality") == new.outcome.value("quality")


@pytest.mark.parametrize("how", ["file", "option"])
def test_a_study_begins_with_the_trials_of_another(made: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(made / "first")
    study = changed(made, tmp_path, f"warm_start = [{json.dumps(folder)}]") if how == "file" else made / "tiny.toml"
    assert run(study, tmp_path / "warm", "--trials", "6", *(["--from", folder] if how == "option" else [])) == 0
    assert f"trials of {folder}" in capsys.readouterr().err
    digests = [trial.digest for trial in read_trials(tmp_path / "warm")]
    assert len(digests) == len(set(digests)) == 6


def test_what_is_no_study_is_refused_before_anything_is_written(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made / "tiny.toml", tmp_path / "warm", "--from", str(tmp_path)) == 2
    assert "study.db" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "warm").exists()


def test_without_stages_everything_is_measured_in_full(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing comes from the records: all four utterances for each of the trials, the uncompressed model's once."""
    decoding = Decoding(monkeypatch)
    assert run(changed(made, tmp_path, "staged = false"), tmp_path / "full", "--trials", "3") == 0
    assert [trial.state for trial in read_trials(tmp_path / "full")] == ["complete"] * 3
    assert decoding.utterances == 3 * 4
    staged = {trial.digest: trial.outcome for trial in complete(made / "first")}
    for trial in complete(tmp_path / "full"):
        other = staged.get(trial.digest)
        if other is not None and trial.outcome is not None:
            for name in ("quality", "chrf", "size_bytes", "params", "macs"):
                assert trial.outcome.value(name) == other.value(name)


def test_a_budget_on_size_stops_what_is_larger_unbuilt(made: Path, tmp_path: Path) -> None:
    """The uncompressed model is measured all the same: it is what others are compared with."""
    sizes = sorted(trial.outcome.value("size_bytes") for trial in complete(made / "first") if trial.outcome is not None)
    limit = int(sizes[0]) + 1
    assert run(made / "tiny.toml", tmp_path / "tight", "--budget", f"size={limit} B") == 0
    trials = read_trials(tmp_path / "tight")
    assert trials[0].label == "uncompressed"
    assert trials[0].state == "complete"
    for trial in trials[1:]:
        measured = trial.outcome or trial.partial
        assert measured is not None
        if measured.value("size_bytes") > limit:
            assert trial.state == "stopped"
            assert "quality" not in measured.measurement_of
            assert "is missed" in (trial.reason or "")
    assert any(trial.state == "stopped" for trial in trials)


def test_a_run_that_was_cut_off_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user stops the second trial; the same command repeats it once, and all share one scale."""
    from paredown.trials.evaluation import Evaluator

    measure, calls = Evaluator.quality, 0

    def cut(self: Evaluator, *given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return measure(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "quality", cut)
        assert run(made / "tiny.toml", tmp_path / "cut") == 130
    before = read_trials(tmp_path / "cut")
    assert before[-1].state == "interrupted"
    assert run(made / "tiny.toml", tmp_path / "cut") == 0
    after = read_trials(tmp_path / "cut")
    assert after[: len(before)] == before
    finished = [trial for trial in after if trial.is_finished]
    assert len(finished) == len({trial.digest for trial in finished}) == TRIALS
    assert before[-1].digest in {trial.digest for trial in finished}
