"""`kill -9` in the middle of a study, then the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.tiny import write_study

TRIALS = 9


def trials_of(folder: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "paredown.cli", "front", str(folder), "--all", "--json"]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    kept = ("trial", "values", "configuration")  # whether a trial lies on the front depends on the others
    return sorted(({key: trial[key] for key in kept} for trial in found), key=lambda trial: trial["trial"])


def done_in(folder: Path) -> int:
    """Trials that the event log calls done."""
    log = folder / "events.jsonl"
    return log.read_text().count('"trial done"') if log.exists() else 0


def workers_end(session: int, within_s: float) -> bool:
    """Whether every process of the killed command's session goes by itself."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if subprocess.run(["pgrep", "-s", str(session)], capture_output=True).returncode == 1:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
def test_a_killed_study_loses_no_completed_trial_and_repeats_none(tmp_path: Path) -> None:
    study, folder = write_study(tmp_path), tmp_path / "runs"
    environment = {**os.environ, "PAREDOWN_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "paredown.cli", "run", str(study), "-o", str(folder)]
    running = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    while done_in(folder) < 4 and running.poll() is None:
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert workers_end(running.pid, within_s=20)
    before = trials_of(folder, environment)
    assert 4 <= len(before) < TRIALS
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = trials_of(folder, environment)
    assert [trial for trial in after if trial["trial"] in {one["trial"] for one in before}] == before
    digests = [json.dumps(trial["configuration"], sort_keys=True) for trial in after]
    assert len(set(digests)) == len(digests) == TRIALS
