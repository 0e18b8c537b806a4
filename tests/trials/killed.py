"""Toy studies whose evaluations run in worker processes, killed at random moments: the driver or a worker, with SIGKILL.

After every kill what the study holds is compared with what it held before.
"""

import multiprocessing
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np

from paredown.search.events import read_events
from paredown.search.failures import StudyStopped
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.study import read_trials
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration
from paredown.trials.workers import Workers
from tests.search import toy
from tests.trials.toy_job import work

PAUSE_S = 0.02  # one evaluation; a kill falls into it as often as between two
LONGEST_S = 1.5  # until the next kill
FINISH_S = 120.0


@dataclass
class Count:
    """What was seen over all studies. `lost`: completed trials that a kill took back or changed; `repeated`: configurations tried twice."""

    drivers: int = 0
    workers: int = 0
    lost: int = 0
    repeated: int = 0
    rejected: int = 0
    lengths: list[int] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.drivers + self.workers


def drive(folder: Path, trials: int) -> None:
    """Starts or resumes the study and runs it to its end."""
    with Workers(1) as workers:

        def evaluate(configuration: Configuration, number: int) -> Outcome:
            workers.run(work, PAUSE_S)
            return toy.evaluate(configuration, number)

        # So many workers are killed that three jobs may lose two of them each: the study stops then, and goes on with the next start.
        with suppress(StudyStopped), toy.open_study(folder, toy.toy_spec(trials=trials)) as study:
            run_study(study, evaluate, toy.given())


def kill_studies(folder: Path, kills: int, trials: int, seed: int) -> Count:
    """As many studies of `trials` trials, one after the other, as it takes for `kills` kills; the last one is left to end too."""
    count, rng = Count(), np.random.default_rng(seed)
    while count.kills < kills:
        study = folder / f"study-{len(count.lengths)}"
        _kill_one(study, kills, trials, rng, count)
        finished = [trial for trial in read_trials(study) if trial.is_finished]
        count.lengths.append(len(finished))
        count.rejected += sum(trial.state == "rejected" for trial in finished)
        count.repeated += sum(Counter(trial.digest for trial in finished).values()) - len({trial.digest for trial in finished})
    return count


def _kill_one(study: Path, kills: int, trials: int, rng: np.random.Generator, count: Count) -> None:
    before: dict[int, Trial] = {}
    while True:
        driver = start(study, trials)
        while driver.is_alive() and count.kills < kills:
            driver.join(rng.uniform(0.0, LONGEST_S))
            if not driver.is_alive():
                break
            if rng.random() < 0.6:  # sometimes there is no worker yet
                worker = _worker_of(driver.pid)
                if worker is not None:
                    os.kill(worker, signal.SIGKILL)
                    count.workers += 1
            else:
                driver.kill()
                count.drivers += 1
                break
        driver.join(FINISH_S)
        now = complete_in(study)
        count.lost += sum(now.get(number) != trial for number, trial in before.items())
        before = now
        if driver.exitcode != -signal.SIGKILL:
            assert driver.exitcode == 0, f"the driver ended with {driver.exitcode}"
            if sum(trial.is_finished for trial in read_trials(study)) >= trials:
                return


def start(study: Path, trials: int) -> ForkProcess:
    """A driver in a process of its own; forked, so that it starts with everything imported."""
    driver = multiprocessing.get_context("fork").Process(target=drive, args=(study, trials))
    driver.start()
    return driver


def complete_in(study: Path) -> dict[int, Trial]:
    """Completed trials by number; each one that the diary calls done is among them."""
    if not (study / "study.db").exists():
        return {}
    found = {trial.number: trial for trial in read_trials(study) if trial.state == "complete"}
    diary = study / "events.jsonl"
    told = {event["trial"] for event in read_events(diary) if event["event"] == "trial done"} if diary.exists() else set()
    assert told <= set(found), f"the diary tells of trials that the study does not hold: {told - set(found)}"
    return found


def _worker_of(driver: int | None) -> int | None:
    """A worker process of the driver, None where it has none yet."""
    try:
        children = [child for task in Path(f"/proc/{driver}/task").iterdir() for child in (task / "children").read_text().split()]
        everyone = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except OSError:  # it ended meanwhile
        return None
    return everyone[0] if everyone else None


def wait_for(study: Path, complete: int) -> None:
    """Until so many trials are complete."""
    end = time.monotonic() + FINISH_S
    while not (study / "events.jsonl").exists() or (study / "events.jsonl").read_text().count('"trial done"') < complete:
        assert time.monotonic() < end
        time.sleep(0.005)
