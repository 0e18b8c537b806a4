"""Whether the doctor sees other load, a refused pinning and a lock that is held."""

import os
from pathlib import Path

import pytest

from paredown.doctor.finding import Finding
from paredown.doctor.quiet import LOOK_S, look_at_quiet
from paredown.profilers.machine_load import MachineWatch
from paredown.profilers.machine_lock import machine_lock


def told(tmp_path: Path, *watches: MachineWatch | None) -> dict[str, Finding]:
    readings, slept = iter(watches), []
    found = {finding.subject: finding for finding in look_at_quiet(lambda: next(readings), slept.append, tmp_path / "lock")}
    assert slept == [LOOK_S]
    return found


def test_a_quiet_machine(tmp_path: Path) -> None:
    found = told(tmp_path, MachineWatch(10.0, 5.0, 100.0), MachineWatch(10.52, 5.5, 101.0))
    assert found["other load"].state == "ok"
    assert "others had 2.0 %" in found["other load"].evidence
    assert found["machine lock"].state == "ok"


def test_a_busy_machine(tmp_path: Path) -> None:
    found = told(tmp_path, MachineWatch(10.0, 5.0, 100.0), MachineWatch(10.8, 5.0, 101.0))
    assert found["other load"].state == "limited"
    assert "others had 80.0 %" in found["other load"].evidence


def test_a_machine_that_does_not_tell_its_load(tmp_path: Path) -> None:
    assert told(tmp_path, None, None)["other load"].found == "not told"


def test_pinning_is_tried_and_undone(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    found = told(tmp_path, None, None)
    assert found["pinning"].state == "ok"
    assert os.sched_getaffinity(0) == before


def test_a_refused_pinning_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: int, cores: set[int]) -> None:
        raise PermissionError("forbidden")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert told(tmp_path, None, None)["pinning"].state == "limited"


def test_a_lock_that_another_holds_is_told_with_its_holder(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with machine_lock(path=tmp_path / "lock"):
            (tmp_path / "held").touch()
            while not (tmp_path / "done").exists():
                pass
        os._exit(0)
    try:
        while not (tmp_path / "held").exists():
            pass
        lock = told(tmp_path, None, None)["machine lock"]
        assert lock.state == "limited"
        assert str(child) in lock.evidence
    finally:
        (tmp_path / "done").touch()
        os.waitpid(child, 0)
