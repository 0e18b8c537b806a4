"""Who holds a study, as the others hear it."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.search import lock
from paredown.search.lock import StudyLock, check_unheld, is_held

HOLD = """
import sys, time
from pathlib import Path
from paredown.search.lock import StudyLock
held = StudyLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_the_holder_is_named_with_its_command_and_gone_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), "a b"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        since = r"20\d\d-\d\d-\d\d \d\d:\d\d"
        told = rf"one process drives a study at a time: {tmp_path} is held by process {process.pid} since {since} \(-c {tmp_path} 'a b'\)"
        for take in (StudyLock, check_unheld):
            with pytest.raises(BadInput, match=f"^{told}$"):
                take(tmp_path)
        assert is_held(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert not is_held(tmp_path)
    check_unheld(tmp_path)
    StudyLock(tmp_path).release()


def test_a_holder_on_another_machine_is_named_with_it(tmp_path: Path) -> None:
    """Its signature as it comes over a shared folder, while the lock is held."""
    held = StudyLock(tmp_path)
    signed = json.loads((tmp_path / "lock").read_text())
    assert signed["host"] == socket.gethostname()
    (tmp_path / "lock").write_text(json.dumps(signed | {"host": "cluster-7", "pid": 4242}))
    with pytest.raises(BadInput, match=r"is held by process 4242 on cluster-7 since "):
        check_unheld(tmp_path)
    held.release()
    held.release()


@pytest.mark.parametrize("text", ["", "4242\n", '{"pid": 1', "[1]", '{"pid": 1, "other": 2}'])
def test_a_signature_that_is_not_there_or_torn_names_nobody(tmp_path: Path, text: str) -> None:
    held = StudyLock(tmp_path)
    (tmp_path / "lock").write_text(text)
    with pytest.raises(BadInput, match="is held by another one"):
        StudyLock(tmp_path)
    held.release()


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    check_unheld(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(handle: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.raises(BadInput, match=rf"must be writable and take locks: .*{re.escape(os.strerror(number))}"):
        StudyLock(tmp_path)


def test_a_full_disk_and_a_missing_folder_are_told_and_leave_nothing_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="must be writable"):
        StudyLock(tmp_path / "absent")

    def full(handle: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(lock.os, "pwrite", full)
        with pytest.raises(BadInput, match="No space left"):
            StudyLock(tmp_path)
    assert not is_held(tmp_path)
    StudyLock(tmp_path).release()


def test_a_long_command_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/paredown", "run", "x" * 5000, "a\nb"])
    held = StudyLock(tmp_path)
    with pytest.raises(BadInput) as caught:
        StudyLock(tmp_path)
    assert "(paredown run xxx" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    held.release()
