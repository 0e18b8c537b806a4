"""The machine-wide lock, against real processes."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import paredown.profilers.machine_lock
from paredown.errors import BadInput
from paredown.profilers.machine_lock import _holder, check_free, gate_path, lock_path, machine_lock, machine_share

# Holds the machine alone or shares it ("machine_lock", "machine_share"); says when it has it, and lets go when its input ends.
HOLD = """
import sys
from pathlib import Path
from paredown.profilers import machine_lock
print("begun", flush=True)
with getattr(machine_lock, sys.argv[1])(path=Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
print("let go", flush=True)
"""
# Units of work without a pause, two processes of which overlap nearly always.
WORK = """
import sys, time
from pathlib import Path
from paredown.profilers.machine_lock import machine_share
print("begun", flush=True)
while True:
    with machine_share(path=Path(sys.argv[1])):
        time.sleep(0.02)
"""


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has begun; killed at the end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert read_line(running) == "begun"
            yield running
        finally:
            running.kill()


def read_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def share_until_refused(path: Path) -> None:
    while True:
        with machine_share(0.0, path):
            pass


def end(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.close()


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize("take", [machine_lock, machine_share])
def test_another_process_waits_and_is_told_who_holds_the_machine(tmp_path: Path, take: Any) -> None:
    path = tmp_path / "lock"
    with process(HOLD, "machine_lock", path) as holder:
        assert read_line(holder) == "held"
        clock = Clock()
        with pytest.raises(BadInput, match=rf"process {holder.pid} holds .*lock.*, waited 2 s"), take(2.0, path, clock, clock.sleep):
            pytest.fail("it did not have the machine to itself")
        assert 2.0 <= clock.now_s < 2.2
        os.kill(holder.pid, signal.SIGKILL)  # a crash leaves no stale lock
        holder.wait()
        with take(0.0, path):
            pass


def test_who_measures_signs_for_the_message_of_others(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with machine_lock(0.0, path):
        assert path.read_text() == gate_path(path).read_text() == f"{os.getpid()}\n"


def test_work_shares_the_machine_and_a_measurement_waits_for_it_by_name(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with process(HOLD, "machine_share", path) as one, process(HOLD, "machine_share", path) as other:
        assert read_line(one) == read_line(other) == "held"  # both at once
        with machine_share(0.0, path):  # and this one too
            pass
        clock = Clock()
        both = ", ".join(map(str, sorted((one.pid, other.pid))))
        with pytest.raises(BadInput, match=rf"process {both} holds .*, waited 1 s"), machine_lock(1.0, path, clock, clock.sleep):
            pytest.fail("it measured while others worked")
        one.kill()
        other.kill()
        one.wait()
        other.wait()
        with machine_lock(0.0, path):
            pass


def test_new_work_waits_behind_a_measurement_that_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with process(HOLD, "machine_share", path) as worker:
        assert read_line(worker) == "held"
        with process(HOLD, "machine_lock", path) as measurer:
            with pytest.raises(BadInput, match=f"process {measurer.pid} holds"):
                share_until_refused(path)  # until it has come to the gate
            end(worker)
            assert read_line(worker) == "let go"
            assert read_line(measurer) == "held"
            end(measurer)
            assert read_line(measurer) == "let go"
            with machine_share(0.0, path):
                pass


def test_a_measurement_does_not_starve_beside_work_that_never_pauses(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with process(WORK, path), process(WORK, path), process(WORK, path), machine_lock(60.0, path):
        assert path in paredown.profilers.machine_lock._paths()


@pytest.mark.parametrize(("outer", "inner"), [(machine_lock, machine_lock), (machine_lock, machine_share), (machine_share, machine_lock)])
def test_a_thread_that_would_wait_for_itself_is_told_at_once(tmp_path: Path, outer: Any, inner: Any) -> None:
    path, clock = tmp_path / "lock", Clock()
    with outer(0.0, path):
        with pytest.raises(RuntimeError, match="holds the machine once"), inner(60.0, path, clock, clock.sleep):
            pytest.fail("it was held twice")
        with pytest.raises(RuntimeError, match="holds the machine once"):
            check_free(path)
    assert clock.now_s == 0.0
    check_free(path)
    with inner(0.0, path):
        pass


def test_threads_share_it_and_one_that_measures_waits_for_the_others(tmp_path: Path) -> None:
    path, clock = tmp_path / "lock", Clock()
    with machine_share(0.0, path), ThreadPoolExecutor(1) as pool:

        def share() -> str:
            with machine_share(0.0, path):
                return "shared"

        def measure() -> None:
            with machine_lock(1.0, path, clock, clock.sleep):
                pytest.fail("it measured while another thread worked")

        assert pool.submit(share).result() == "shared"
        with pytest.raises(BadInput, match="waited 1 s"):
            pool.submit(measure).result()


def test_without_the_kernels_list_the_signature_tells(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("4711\n")
    with path.open() as file:
        assert _holder(file.fileno(), tmp_path / "missing") == "4711"
        locks = tmp_path / "locks"
        inode = path.stat().st_ino
        locks.write_text(
            f"1: FLOCK  ADVISORY  READ 42 fe:01:{inode} 0 EOF\n2: FLOCK  ADVISORY  READ 7 fe:01:{inode} 0 EOF\n"
            f"3: FLOCK  ADVISORY  WRITE 8 fe:01:{inode + 1} 0 EOF\n4: POSIX  ADVISORY  WRITE 9 fe:01:{inode} 0 EOF\n"
            f"2: -> FLOCK  ADVISORY  READ 10 fe:01:{inode} 0 EOF\n"
        )
        assert _holder(file.fileno(), locks) == "7, 42"


def test_it_is_free_again_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(RuntimeError, match="fault"), machine_lock(0.0, path):
        raise RuntimeError("fault")
    for _ in range(2):
        with machine_lock(0.0, path):
            pass


def test_a_waiter_goes_on_as_soon_as_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    naps = []
    with process(HOLD, "machine_lock", path) as holder:
        assert read_line(holder) == "held"

        def sleep(seconds: float) -> None:
            naps.append(seconds)
            end(holder)
            holder.wait()

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
    with pytest.raises(BadInput, match="symbolic"), machine_lock(0.0, tmp_path / "lock"):
        pytest.fail("it followed a link")
    assert target.read_text() == "keep"


@pytest.mark.parametrize(("mode", "there"), [(0o1777, True), (0o777, True), (0o755, False)])
def test_the_default_place_is_the_same_for_root_and_for_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, there: bool
) -> None:
    """Root may write a folder of mode 755, users may not: both must take the other place."""
    tmp_path.chmod(mode)
    monkeypatch.setattr(paredown.profilers.machine_lock, "_SHARED", tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "mine"))
    assert lock_path() == (tmp_path if there else Path("/tmp")) / "paredown-measure.lock"
