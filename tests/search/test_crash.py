"""kill -9 at the worst moments, then the same command again: nothing complete is lost, nothing is tried twice."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from paredown.search.events import EventLog, read_events
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.study import read_trials
from paredown.space.configuration import Configuration
from tests.search import toy

TRIALS = 9


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Configuration]:
    """What the study tries when nothing stops it."""
    with toy.open_study(tmp_path_factory.mktemp("through"), toy.toy_spec(trials=TRIALS)) as study:
        run_study(study, toy.evaluate, toy.given())
        return [trial.configuration for trial in study.trials]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def during_evaluation(number: int) -> None:
    def evaluate(configuration: Configuration, trial: int) -> Outcome:
        if trial == number:
            die()
        return toy.evaluate(configuration, trial)

    toy_run(evaluate)


def before_call(owner: type, name: str, calls: int) -> Callable[[], None]:
    """The process dies right before the n-th call of one of Optuna's methods."""

    def run() -> None:
        original, count = getattr(owner, name), 0

        def counted(self: object, *arguments: object, **named: object) -> object:
            nonlocal count
            # The proposer works with its own throwaway studies in memory; only the one on disk matters here.
            study = self if isinstance(self, optuna.study.Study) else self.study  # type: ignore[attr-defined]
            if not isinstance(study._storage, optuna.storages.InMemoryStorage):
                count += 1
                if count == calls:
                    die()
            return original(self, *arguments, **named)

        setattr(owner, name, counted)
        toy_run(toy.evaluate)

    return run


FOLDER: Path


def toy_run(evaluate: Callable[[Configuration, int], Outcome]) -> None:
    with toy.open_study(FOLDER, toy.toy_spec(trials=TRIALS)) as study:
        run_study(study, evaluate, toy.given())


@pytest.mark.parametrize(
    "end",
    [
        lambda: during_evaluation(0),
        lambda: during_evaluation(6),
        before_call(optuna.Study, "enqueue_trial", 6),
        before_call(optuna.Study, "ask", 6),
        before_call(optuna.Study, "tell", 6),
        before_call(optuna.Trial, "set_user_attr", 10),
    ],
    ids=["first trial", "seventh trial", "before it is written", "written, not running", "measured, not stored", "half its attributes"],
)
def test_killed_and_resumed_equals_the_study_that_ran_through(
    tmp_path: Path, end: Callable[[], None], uninterrupted: list[Configuration]
) -> None:
    global FOLDER
    FOLDER = tmp_path / "killed"
    # fork: the child starts with everything imported, and dies for real.
    child = multiprocessing.get_context("fork").Process(target=end)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    before = [trial for trial in read_trials(FOLDER) if trial.state == "complete"]
    toy_run(toy.evaluate)
    after = read_trials(FOLDER)
    complete = [trial for trial in after if trial.state == "complete"]
    assert complete[: len(before)] == before
    assert [trial.configuration for trial in complete] == uninterrupted
    assert {trial.state for trial in after} <= {"complete", "interrupted"}
    assert sum(trial.state == "interrupted" for trial in after) <= 1


def test_kill_from_outside_at_any_moment(tmp_path: Path) -> None:
    """The real thing: another process, SIGKILL after some trials; then it is left to finish."""
    command = [sys.executable, "-m", "tests.search.toy", str(tmp_path / "s"), "14", "0.02"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while count_done(tmp_path / "s") < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    kept = [trial for trial in read_trials(tmp_path / "s") if trial.state == "complete"]
    assert 5 <= len(kept) < 14
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert finished.stdout == "all 14 trials are done\n"
    assert finished.stderr == ""
    complete = [trial for trial in read_trials(tmp_path / "s") if trial.state == "complete"]
    assert complete[: len(kept)] == kept
    assert max(Counter(trial.configuration.digest for trial in complete).values()) == 1
    assert len(complete) == 14
    kinds = [event["event"] for event in read_events(tmp_path / "s" / "events.jsonl")]
    assert kinds.count("resumed") == 1


def count_done(folder: Path) -> int:
    path = folder / "events.jsonl"
    return sum(event["event"] == "trial done" for event in read_events(path)) if path.exists() else 0


def test_a_torn_last_line_of_the_diary_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "started"}\n{"event": "trial st')
    log = EventLog(path)
    log.append("resumed", pid=1)
    log.close()
    log.close()
    assert [event["event"] for event in read_events(path)] == ["started", "resumed"]
