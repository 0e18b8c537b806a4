"""The study: every trial once, what may change between runs and what may not, and why it stops."""

import json
import os
from pathlib import Path

import optuna
import pytest

from paredown.errors import BadInput
from paredown.search.budget import make_budget
from paredown.search.events import read_events
from paredown.search.failures import StudyStopped
from paredown.search.front import make_front
from paredown.search.lock import is_held
from paredown.search.loop import Standing, run_study
from paredown.search.outcome import Outcome, Rejected
from paredown.search.sampler import SamplerName
from paredown.search.storage import Storage
from paredown.search.study import Study, read_trials
from paredown.search.study_file import change_spec
from paredown.search.trial import Candidate
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from tests.search.toy import IDENTITY, UNCOMPRESSED, evaluate, given, make_space, open_study, outcome, toy_spec


class Clock:
    """A clock that moves when a trial runs."""

    def __init__(self, trial_s: float) -> None:
        self.now_s = 1000.0
        self.trial_s = trial_s

    def __call__(self) -> float:
        return self.now_s

    def evaluate(self, configuration: Configuration, number: int) -> Outcome:
        self.now_s += self.trial_s
        return evaluate(configuration, number)


@pytest.mark.parametrize("name", ["model", "tpe", "gp", "nsga2", "random"])
def test_every_sampler_fills_a_study_with_distinct_trials(tmp_path: Path, name: SamplerName, capfd: pytest.CaptureFixture[str]) -> None:
    """Two of the given points have no knobs; the budgets constrain; nothing is written to the terminal."""
    pytest.importorskip("torch") if name == "gp" else None
    trials = 12 if name == "gp" else 16
    with open_study(tmp_path / "s", toy_spec("s", name, trials, size="9 MB", quality="-6")) as study:
        assert run_study(study, evaluate, given()) == f"all {trials} trials are done"
        found = study.trials
    assert [trial.label for trial in found[:3]] == ["uncompressed", "8 bits", "full depth"]
    assert [trial.number for trial in found] == list(range(trials))
    assert len({trial.configuration.digest for trial in found}) == trials
    assert all(trial.outcome == evaluate(trial.configuration, 0) for trial in found)
    assert all(make_space().resolve(dict(trial.candidate.knobs or ())) == trial.configuration for trial in found[2:])
    assert capfd.readouterr() == ("", "")


def test_folder_holds_what_the_design_says(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", toy_spec(trials=4)) as study:
        run_study(study, evaluate, given())
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["events.jsonl", "lock", "study.db", "study.toml"]
    events = read_events(tmp_path / "s" / "events.jsonl")
    assert [event["event"] for event in events] == ["started", "running", *["trial started", "trial done"] * 4, "stopped"]
    assert events[3]["values"] == {"quality": 0.0, "latency_ms@cpu": 68.0, "size_bytes": 16e6}
    assert events[-1]["why"] == "all 4 trials are done"


def test_a_second_run_adds_nothing_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(trials=5)) as study:
        run_study(study, evaluate, given())
        before = study.trials
    with open_study(tmp_path, toy_spec(trials=5)) as study:
        run_study(study, lambda configuration, number: pytest.fail("nothing is left to do"), given())
        assert study.trials == before
    with open_study(tmp_path, toy_spec(trials=8)) as study:
        run_study(study, evaluate, given())
        assert study.trials[:5] == before
        assert len({trial.configuration.digest for trial in study.trials}) == 8
    assert read_trials(tmp_path)[:5] == before


@pytest.mark.parametrize("name", ["tpe", "model"])
def test_stopping_and_going_on_gives_the_study_that_ran_through(tmp_path: Path, name: SamplerName) -> None:
    """Six observations with knobs, from which on the model guesses, are there after eight trials."""
    with open_study(tmp_path / "through", toy_spec("s", name, 20)) as study:
        run_study(study, evaluate, given())
        through = [trial.configuration for trial in study.trials]
    for stop in (2, 7, 11, 14, 20):
        with open_study(tmp_path / "parts", toy_spec("s", name, stop)) as study:
            run_study(study, evaluate, given())
            parts = [trial.configuration for trial in study.trials]
    assert parts == through


def test_budgets_may_change_between_runs(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(trials=7)) as study:
        run_study(study, evaluate, given())
    spec = toy_spec(trials=13, size="6 MB", quality="40")
    with open_study(tmp_path, spec) as study:
        run_study(study, evaluate, given())
        front = make_front(study.trials, study.objectives, study.budgets)
    assert {entry.feasible for entry in front} == {True, False}
    assert 'size = "6 MB"' in (tmp_path / "study.toml").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": make_space(low=3)}, r"space layers.decoder is \[2, 6\] there and \[3, 6\] here"),
        ({"space": make_space(groups=("ctc",))}, r"space sparsity.ctc is absent there and \[0.0, 0.9\] here"),
        ({"identity": {"model": "xyz", "data": "def"}}, 'model is "abc" there and "xyz" here'),
        ({"objectives": toy_spec().objective_list[:2]}, "objectives is "),
    ],
)
def test_another_space_is_refused_and_changes_nothing(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with open_study(tmp_path, toy_spec(trials=4)) as study:
        run_study(study, evaluate, given())
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "lock"}
    spec = toy_spec(trials=9)
    whole = {"space": make_space(), "objectives": spec.objective_list, "budgets": (), "identity": IDENTITY, **change}
    with pytest.raises(BadInput, match="exists with another space") as caught:
        Study.open(tmp_path, spec, **whole)  # type: ignore[arg-type]
    assert message.replace("\\", "") in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "lock"} == files
    assert not is_held(tmp_path)


def test_a_held_study_names_its_holder(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec()):
        assert is_held(tmp_path)
        with pytest.raises(BadInput, match=f"is held by process {os.getpid()}"):
            open_study(tmp_path, toy_spec())
        assert read_trials(tmp_path) == ()  # looking is allowed
    assert not is_held(tmp_path)


def test_rejected_configurations_are_kept_with_their_reason_and_not_tried_again(tmp_path: Path) -> None:
    def strict(configuration: Configuration, number: int) -> Outcome:
        if number % 2:
            raise Rejected("its graph differs from torch by 0.01")
        return evaluate(configuration, number)

    for trials in (8, 11):
        with open_study(tmp_path, toy_spec(trials=trials)) as study:
            run_study(study, strict, given())
            found = study.trials
    rejected = [trial for trial in found if trial.state == "rejected"]
    assert rejected
    assert all(trial.reason == "its graph differs from torch by 0.01" and trial.outcome is None for trial in rejected)
    assert len({trial.configuration.digest for trial in found}) == len(found) == 11


def test_an_error_comes_out_and_the_trial_is_tried_again(tmp_path: Path) -> None:
    def faulty(configuration: Configuration, number: int) -> Outcome:
        if number == 4:
            raise OSError("disk full")
        return evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=6)) as study:
        with pytest.raises(OSError, match="disk full"):
            run_study(study, faulty, given())
        assert (study.trials[4].state, study.trials[4].reason) == ("interrupted", "OSError: disk full")
    with open_study(tmp_path, toy_spec(trials=6)) as study:
        run_study(study, evaluate, given())
        found = study.trials
    assert found[5].configuration == found[4].configuration
    assert found[5].candidate.knobs == found[4].candidate.knobs
    assert [trial.state for trial in found] == ["complete"] * 4 + ["interrupted"] + ["complete"] * 2


def test_what_was_interrupted_comes_first_even_under_another_seed(tmp_path: Path) -> None:
    def faulty(configuration: Configuration, number: int) -> Outcome:
        if number == 4:
            raise OSError("disk full")
        return evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=6)) as study, pytest.raises(OSError, match="disk full"):
        run_study(study, faulty, given())
    with open_study(tmp_path, change_spec(toy_spec(trials=6), seed=99)) as study:
        run_study(study, evaluate, given())
        assert study.trials[5].configuration == study.trials[4].configuration


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (Outcome(()), "quality is missing"),
        (outcome(float("inf"), 1.0, 1.0), "quality must be a finite number"),
        (outcome(0.0, 0.0, 1.0), "latency_ms@cpu must be above zero, got 0.0"),
    ],
)
def test_figures_that_cannot_be_reject_the_trial_and_the_study_goes_on(tmp_path: Path, bad: Outcome, rule: str) -> None:
    def odd(configuration: Configuration, number: int) -> Outcome:
        return bad if number == 1 else evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=4)) as study:
        assert run_study(study, odd, given()) == "all 4 trials are done"
        assert [trial.state for trial in study.trials] == ["complete", "rejected", "complete", "complete"]
        assert rule in (study.trials[1].reason or "")
        assert study.trials[1].outcome is None


def test_figures_that_never_can_be_stop_the_study_at_the_third(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        with pytest.raises(
            StudyStopped, match=r"3 failures with one cause stop a study: trials 0, 1 and 2 .*quality must be a finite number"
        ):
            run_study(study, lambda configuration, number: outcome(float("inf"), 1.0, 1.0), given())
        assert [trial.state for trial in study.trials] == ["rejected"] * 3


def test_time_includes_the_analysis_and_no_trial_starts_that_would_not_fit(tmp_path: Path) -> None:
    clock = Clock(trial_s=10.0)
    with open_study(tmp_path, toy_spec(trials=50, time="100 s")) as study:
        why = run_study(study, clock.evaluate, given(), seconds_used=35.0, clock=clock)
        assert len(study.trials) == 6  # 35 + 6 * 10 = 95, a seventh would end at 105
    assert why == "5 s are left and a trial takes 10 s, 6 trials are done"
    with open_study(tmp_path, toy_spec(trials=50, time="120 s")) as study:
        run_study(study, clock.evaluate, given(), seconds_used=35.0, clock=clock)
        assert len(study.trials) == 8  # the trials of the first run count: two more fit


def test_time_that_the_analysis_used_up(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(time="10 s")) as study:
        assert run_study(study, evaluate, given(), seconds_used=11.0) == "the time of 10 s is spent, 0 trials are done"


def test_an_exhausted_space_says_so(tmp_path: Path) -> None:
    """Five depths and nothing else: five trials and the two given ones that lie outside the space."""
    space = SearchSpace([LayersAxis("decoder", 6, (3, 2, 4, 1, 0), 2, 6)])
    with open_study(tmp_path, toy_spec(trials=40), space=space) as study:
        why = run_study(study, evaluate, given()[:2])
        assert why.startswith("the space is exhausted")
        assert len(study.trials) == 7
        assert {len(trial.configuration.keep_of.get("decoder", range(6))) for trial in study.trials[2:]} == {2, 3, 4, 5, 6}


def test_given_candidates_are_tried_once_even_if_given_twice(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, [UNCOMPRESSED, Candidate("the same", UNCOMPRESSED.configuration), *given()])
        assert [trial.label for trial in study.trials] == ["uncompressed", "8 bits", "full depth"]


def test_given_knobs_must_belong_to_the_space(tmp_path: Path) -> None:
    values = (("layers.decoder", 9), ("sparsity.encoder.feed_forward", 0.0), ("sparsity.decoder.cross_attn", 0.0))
    odd = Candidate("odd", Configuration(), values)
    with (
        open_study(tmp_path, toy_spec()) as study,
        pytest.raises(ValueError, match=r"layers\.decoder must be a whole number in \[2, 6\], got 9"),
    ):
        run_study(study, evaluate, [odd])


def test_whoever_watches_sees_every_trial_start_and_end(tmp_path: Path) -> None:
    seen: list[Standing] = []
    clock = Clock(trial_s=10.0)
    with open_study(tmp_path, toy_spec(trials=4, time="1 min")) as study:
        run_study(study, clock.evaluate, given(), watch=seen.append, clock=clock)
    assert [(standing.done, standing.running) for standing in seen[:5]] == [
        (0, "uncompressed"),
        (1, None),
        (1, "8 bits"),
        (2, None),
        (2, "full depth"),
    ]
    assert (seen[0].seconds_left, seen[1].seconds_left, seen[3].seconds_left) == (60.0, 30.0, 20.0)


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none at .*study\.db"):
        read_trials(tmp_path)
    (tmp_path / "study.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(BadInput, match="must be a database written by paredown"):
        read_trials(tmp_path)
    with pytest.raises(BadInput, match="must be a database written by paredown"):
        open_study(tmp_path, toy_spec())
    assert not is_held(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="must be writable"):
        open_study(tmp_path / "file", toy_spec())


def test_the_database_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine stops while the database is written; the next run starts afresh."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("optuna.study.Study.set_user_attr", stop)
        with pytest.raises(KeyboardInterrupt):
            open_study(tmp_path, toy_spec())
    assert not (tmp_path / "study.db").exists()
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, given())
        assert len(study.trials) == 3
    assert not (tmp_path / "study.db.new").exists()


def test_optuna_sees_objectives_constraints_and_knobs(tmp_path: Path) -> None:
    """What optuna-dashboard will show."""
    with open_study(tmp_path, toy_spec(trials=5, size="9 MB")) as study:
        run_study(study, evaluate, given())
        trials = study.trials
    loaded = optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path}/study.db")
    assert loaded.metric_names == ["quality", "latency_ms@cpu", "size_bytes"]
    budget = make_budget("size", "9 MB")
    for frozen, trial in zip(loaded.trials, trials, strict=True):
        assert trial.outcome is not None
        assert frozen.values == [trial.outcome.value(objective.name) for objective in toy_spec().objective_list]
        assert frozen.constraints == {"size": budget.violation(trial.outcome.value("size_bytes"))}
        assert tuple(frozen.params.items()) == (trial.candidate.knobs or ())
        assert json.loads(frozen.user_attrs["configuration"]) == json.loads(trial.configuration.to_json())
    Storage(tmp_path / "study.db").close()
