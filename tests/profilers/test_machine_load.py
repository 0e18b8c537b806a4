"""Who else used the machine: from a faked /proc, and with a real child that must not count as somebody else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paredown.profilers.machine_load import MachineWatch, own_seconds

TICKS = os.sysconf("SC_CLK_TCK")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def write_machine(root: Path, user: int, system: int, idle: int, steal: int) -> Path:
    """A faked /proc/stat, in seconds."""
    (root / "proc").mkdir(parents=True)
    fields = (user, 0, system, idle, 0, 0, 0, steal, 0, 0)
    (root / "proc/stat").write_text(f"cpu {' '.join(str(TICKS * seconds) for seconds in fields)}\ncpu0 1 1 1 1\n")
    return root


def write_process(root: Path, pid: int, parent: int, seconds: int, name: str = "python") -> None:
    """`seconds` of its own, and as many of children it has waited for."""
    (root / f"proc/{pid}").mkdir(parents=True)
    times = f"{TICKS * seconds} 0 0 {TICKS * seconds}"
    (root / f"proc/{pid}/stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1 4194304 1 1 1 1 {times} 20 0 1 0 1 1 1\n")


def test_the_share_of_others_is_known_beforehand(tmp_path: Path) -> None:
    began = MachineWatch.now(write_machine(tmp_path / "early", user=10, system=0, idle=10, steal=0))
    ended = MachineWatch.now(write_machine(tmp_path / "late", user=12, system=1, idle=15, steal=2))
    assert began is not None
    assert ended is not None
    assert ended.others_since(began) == pytest.approx(0.5, abs=0.02)  # 5 of 10 seconds, and next to nothing of them our own
    assert began.others_since(began) is None  # no time went by: nothing is known
    assert MachineWatch.now(tmp_path / "missing") is None


def test_living_descendants_are_our_own(tmp_path: Path) -> None:
    root = write_machine(tmp_path, 0, 0, 0, 0)
    alone = own_seconds(root)
    write_process(root, 900_001, os.getpid(), 3, name="a worker) S 1 2 (of ours")
    write_process(root, 900_002, 900_001, 5)  # a child's child
    write_process(root, 900_003, 1, 100)  # somebody else's
    (root / "proc/900004").mkdir()
    (root / "proc/900004/stat").mkdir()  # cannot be read
    assert own_seconds(root) - alone == pytest.approx(2 * (3 + 5), abs=0.5)


@needs_proc
def test_a_child_counts_while_it_lives_and_once_it_is_gone() -> None:
    before = own_seconds()
    code = "import time\nbegin = time.process_time()\nwhile time.process_time() - begin < 0.3: pass\nprint('done', flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        assert own_seconds() - before >= 0.25  # ticks are 10 ms
        child.communicate("\n")
    time.sleep(0.02)
    assert 0.25 <= own_seconds() - before < 5.0
