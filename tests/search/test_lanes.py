"""Several evaluations at once: recorded as they end, none twice, and whatever ends one of them leaves a study that goes on.

Nothing sleeps: evaluations wait for each other at gates, so that the order is that of the test and not of the machine.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.search.events import read_events
from paredown.search.failures import StudyStopped
from paredown.search.loop import Board, Standing, run_study
from paredown.search.outcome import Outcome, Rejected, Stopped
from paredown.search.trial import Trial
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from tests.search.toy import evaluate, given, open_study, toy_spec

LANES = 3
PATIENCE_S = 30.0  # a gate that stays shut that long is a defect; passed at once otherwise


class Together:
    """An evaluation that waits until as many run as there are lanes, and notes the most there were."""

    def __init__(self, then: Callable[[Configuration, int], Outcome] = evaluate, lanes: int = LANES) -> None:
        self._gate, self._then = threading.Barrier(lanes), then
        self._lock, self._now, self.most = threading.Lock(), 0, 0

    def __call__(self, configuration: Configuration, number: int) -> Outcome:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            self._gate.wait(PATIENCE_S)
            return self._then(configuration, number)
        finally:
            with self._lock:
                self._now -= 1


def finish(folder: Path, trials: int, **search: str) -> tuple[Trial, ...]:
    """The same study, gone on with in one lane."""
    with open_study(folder, toy_spec(trials=trials, **search)) as study:
        assert run_study(study, evaluate, given()) == f"all {trials} trials are done"
        return study.trials


@pytest.mark.parametrize("sampler", ["tpe", "model", "random"])
def test_as_many_at_once_as_there_are_lanes_and_none_twice(tmp_path: Path, sampler: str) -> None:
    together = Together()
    with open_study(tmp_path, toy_spec(sampler=sampler, trials=12)) as study:
        assert run_study(study, together, given(), lanes=lambda: LANES) == "all 12 trials are done"
        found = study.trials
    assert together.most == LANES
    assert len({trial.digest for trial in found}) == len(found) == 12
    assert all(trial.outcome == evaluate(trial.configuration, 0) for trial in found)


def test_a_space_that_is_used_up_is_the_same_set_of_trials_in_any_number_of_lanes(tmp_path: Path) -> None:

    space = SearchSpace([LayersAxis("decoder", 6, (3, 2, 4, 1, 0), 2, 6)])
    tried = []
    for lanes in (1, 2, LANES):
        with open_study(tmp_path / str(lanes), toy_spec(trials=40), space=space) as study:
            assert run_study(study, evaluate, given()[:2], lanes=lambda lanes=lanes: lanes).startswith("the space is exhausted")
            tried.append(sorted(trial.digest for trial in study.trials))
    assert tried[0] == tried[1] == tried[2]
    assert len(set(tried[0])) == 7  # five depths and the two given ones


def test_trials_are_recorded_as_they_end(tmp_path: Path) -> None:
    """The first waits for the second, and the second for the third."""
    ended = [threading.Event() for _ in range(LANES + 1)]

    def backwards(configuration: Configuration, number: int) -> Outcome:
        if number < LANES - 1:
            assert ended[number + 1].wait(PATIENCE_S)
        return evaluate(configuration, number)

    def watch(standing: Standing) -> None:
        for trial in standing.trials:
            if trial.is_finished:
                ended[trial.number].set()

    with open_study(tmp_path, toy_spec(trials=LANES)) as study:
        run_study(study, backwards, given(), watch=watch, lanes=lambda: LANES)
    done = [event["trial"] for event in read_events(tmp_path / "events.jsonl") if event["event"] == "trial done"]
    assert done == [2, 1, 0]


def test_lanes_may_come_and_go(tmp_path: Path) -> None:
    """The cluster grows from one to three and shrinks to none, which still leaves one."""
    sizes = iter([1, 1, 3, 3, 3, 3, 2, 2])
    with open_study(tmp_path, toy_spec(trials=12)) as study:
        assert run_study(study, evaluate, given(), lanes=lambda: next(sizes, 0)) == "all 12 trials are done"
        assert len({trial.digest for trial in study.trials}) == 12


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BadInput("the cache must be writable"), OSError("disk full")])
def test_what_is_no_fault_of_a_configuration_interrupts_all_and_the_study_goes_on(tmp_path: Path, error: BaseException) -> None:
    release = threading.Event()

    def faulty(configuration: Configuration, number: int) -> Outcome:
        if number == 4:
            raise error
        if number > 2:  # these two are under way then
            release.wait(PATIENCE_S)
        return evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=12)) as study:
        with pytest.raises(type(error)):
            run_study(study, faulty, given(), lanes=lambda: LANES)
        release.set()
        before = study.trials
    assert not [trial for trial in before if trial.state == "running"]
    interrupted = [trial for trial in before if trial.state == "interrupted"]
    assert 4 in [trial.number for trial in interrupted]
    assert len(interrupted) <= LANES
    after = finish(tmp_path, 12)
    assert {trial.digest for trial in interrupted} <= {trial.digest for trial in after if trial.state == "complete"}
    finished = [trial.digest for trial in after if trial.is_finished]
    assert len(set(finished)) == len(finished) == 12


def test_ctrl_c_while_waiting_interrupts_all(tmp_path: Path) -> None:
    """It reaches the thread that chooses and remembers."""
    release, board = threading.Event(), Board()

    def endless(configuration: Configuration, number: int) -> Outcome:
        board.say(number, "race")
        release.wait(PATIENCE_S)
        return evaluate(configuration, number)

    def watch(standing: Standing) -> None:
        if standing.stage is not None:
            raise KeyboardInterrupt

    with open_study(tmp_path, toy_spec(trials=8)) as study:
        with pytest.raises(KeyboardInterrupt):
            run_study(study, Together(endless), given(), watch=watch, lanes=lambda: LANES, board=board)
        release.set()
        assert [trial.state for trial in study.trials] == ["interrupted"] * LANES
        assert all(trial.was_stopped for trial in study.trials)
    assert sum(trial.is_finished for trial in finish(tmp_path, 8)) == 8


def test_ctrl_c_while_the_next_is_chosen_interrupts_what_is_under_way(tmp_path: Path) -> None:
    release, asked = threading.Event(), iter([LANES] * 2)

    def lanes() -> int:
        found = next(asked, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    def endless(configuration: Configuration, number: int) -> Outcome:
        release.wait(PATIENCE_S)
        return evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=8)) as study:
        with pytest.raises(KeyboardInterrupt):
            run_study(study, endless, given(), lanes=lanes)
        release.set()
        assert [(trial.state, trial.was_stopped) for trial in study.trials] == [("interrupted", True)]


def test_what_ran_beside_a_fault_is_not_blamed_for_it(tmp_path: Path) -> None:
    """Twice beside a full disk, and it is still tried first."""
    for _ in range(2):
        release = threading.Event()

        def faulty(configuration: Configuration, number: int, release: threading.Event = release) -> Outcome:
            if configuration != given()[1].configuration:
                release.wait(PATIENCE_S)
                return evaluate(configuration, number)
            raise OSError("disk full")

        with open_study(tmp_path, toy_spec(trials=8)) as study:
            with pytest.raises(OSError, match="disk full"):
                run_study(study, Together(faulty), given(), lanes=lambda: LANES)
            release.set()
            blamed = {trial.label for trial in study.trials if not trial.was_stopped}
            assert blamed == {"8 bits"}
    found = finish(tmp_path, 8)
    assert [trial.label for trial in found[-8:][:2]] == ["uncompressed", "full depth"]


def test_three_failures_with_one_cause_stop_the_study_and_interrupt_the_rest(tmp_path: Path) -> None:
    release = threading.Event()

    def failing(configuration: Configuration, number: int) -> Outcome:
        if number == 0:
            release.wait(PATIENCE_S)
            return evaluate(configuration, number)
        raise Rejected("its graph differs from torch by 0.01")

    with open_study(tmp_path, toy_spec(trials=12)) as study:
        with pytest.raises(StudyStopped, match="3 failures with one cause"):
            run_study(study, failing, given(), lanes=lambda: LANES)
        release.set()
        states = [trial.state for trial in study.trials]
    assert states.count("rejected") == 3
    assert states[0] == "interrupted"
    assert "running" not in states


@pytest.mark.parametrize("lanes", [1, LANES])
def test_a_stopped_trial_keeps_what_was_measured_and_counts(tmp_path: Path, lanes: int) -> None:
    def raced(configuration: Configuration, number: int) -> Outcome:
        found = evaluate(configuration, number)
        if number % 2:
            raise Stopped("dominated by trial 0 on 96 of 200 utterances", found)
        return found

    with open_study(tmp_path, toy_spec(trials=10)) as study:
        assert run_study(study, raced, given(), lanes=lambda: lanes) == "all 10 trials are done"
        found = study.trials
    stopped = [trial for trial in found if trial.number % 2]
    assert [trial.state for trial in stopped] == ["stopped"] * 5
    assert all(trial.outcome is None and trial.partial == evaluate(trial.configuration, 0) for trial in stopped)
    assert {trial.reason for trial in stopped} == {"dominated by trial 0 on 96 of 200 utterances"}
    assert len({trial.digest for trial in found}) == 10
    assert finish(tmp_path, 10) == found


def test_stages_are_told_of_every_lane(tmp_path: Path) -> None:
    board, seen = Board(), []

    def told(configuration: Configuration, number: int) -> Outcome:
        board.say(number, f"race of {number}")
        return evaluate(configuration, number)

    with open_study(tmp_path, toy_spec(trials=6)) as study:
        run_study(study, told, given(), watch=lambda standing: seen.append(standing.stage), lanes=lambda: LANES, board=board)
    events = [event for event in read_events(tmp_path / "events.jsonl") if event["event"] == "stage"]
    assert sorted((event["trial"], event["stage"]) for event in events) == [(number, f"race of {number}") for number in range(6)]
    assert {stage for stage in seen if stage} >= {"trial 0: race of 0"}
