"""The machine-wide lock, against real processes."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.machine_lock import lock_path, machine_lock

HOLD = """
import sys, time
from pathlib import Path
from paredown.profilers.machine_lock import machine_lock
with machine_lock(path=Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_another_process_waits_and_is_told_who_holds_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        clock = Clock()
        with pytest.raises(BadInput, match=rf"process {holder.pid} holds .*lock, waited 2 s"), machine_lock(2.0, path, clock, clock.sleep):
            pytest.fail("two processes held the machine")
        assert 2.0 <= clock.now_s < 2.2
        os.kill(holder.pid, signal.SIGKILL)  # a crash leaves no stale lock
        holder.wait()
        with machine_lock(0.0, path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_it_is_free_again_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(RuntimeError, match="fault"), machine_lock(0.0, path):
        raise RuntimeError("fault")
    for _ in range(2):
        with machine_lock(0.0, path):
            pass


def test_a_waiter_goes_on_as_soon_as_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = machine_lock(0.0, path)
    first.__enter__()
    naps = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        first.__exit__(None, None, None)

    with machine_lock(10.0, path, sleep=sleep):
        assert len(naps) == 1


def test_every_user_may_take_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    before = os.umask(0o077)
    try:
        with machine_lock(0.0, path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o666
    finally:
        os.umask(before)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic"), machine_lock(0.0, tmp_path / "lock"):
        pytest.fail("it followed a link")
    assert target.read_text() == "keep"


def test_the_default_place_is_the_same_for_all() -> None:
    assert lock_path().name == "paredown-measure.lock"
    assert lock_path() == lock_path()
