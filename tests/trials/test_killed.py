"""Kills and power cuts at random moments: no completed trial is lost, none is repeated, every study comes to its end."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np

from paredown.search.study import read_trials
from tests.trials.killed import complete_in, drive, kill_studies, start, wait_for


def test_kills_of_drivers_and_workers(tmp_path: Path) -> None:
    """The small version of `bench_kills`."""
    count = kill_studies(tmp_path, kills=8, trials=14, seed=1)
    assert count.kills == 8
    assert count.drivers > 0
    assert count.workers > 0
    assert (count.lost, count.repeated) == (0, 0)
    assert set(count.lengths) == {14}


def test_power_cuts(tmp_path: Path) -> None:
    """The folder as it was at some moment, with some of what was not flushed: the end of the log is cut anywhere, or holds old blocks.

    The driver stands still while the folder is copied: a power cut hits all files at one moment.
    """
    rng, study, trials = np.random.default_rng(2), tmp_path / "study", 8
    driver = start(study, trials)
    copies = []
    for done in (1, 3, 5):
        wait_for(study, done)
        assert driver.pid is not None
        os.kill(driver.pid, signal.SIGSTOP)
        copies.append(tmp_path / f"after {done}")
        shutil.copytree(study, copies[-1])
        os.kill(driver.pid, signal.SIGCONT)
    driver.join(60)
    assert driver.exitcode == 0
    whole = complete_in(study)
    for copy in copies:
        cut = copy.with_name(f"{copy.name}, cut")
        shutil.copytree(copy, cut)  # before the first look, which may write the log back
        before = {trial.number: trial for trial in read_trials(copy) if trial.state == "complete"}
        assert before.items() <= whole.items()
        for name in ("study.db-wal", "events.jsonl"):
            content = (cut / name).read_bytes()
            length = int(rng.integers(len(content) // 2, len(content)))
            (cut / name).write_bytes(content[:length] + bytes(len(content) - length) * int(rng.integers(2)))
        (cut / "study.db-shm").unlink(missing_ok=True)  # lives in memory alone
        kept = {trial.number: trial for trial in read_trials(cut) if trial.state == "complete"}
        assert kept.items() <= before.items()
        for folder in (copy, cut):
            drive(folder, trials)
            finished = [trial for trial in read_trials(folder) if trial.is_finished]
            assert len(finished) == len({trial.digest for trial in finished}) == trials
