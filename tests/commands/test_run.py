"""How `paredown run` ends when it is not left alone: signals, full and read-only disks, failures with one cause. And then goes on."""

import resource
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from paredown.cli import main
from paredown.search.study import read_trials
from paredown.search.study_file import write_spec
from tests.search.toy import toy_spec

TRIALS = 5
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_spec(toy_spec(trials=TRIALS), tmp_path / "study.toml")
    return tmp_path / "s"


def command(kind: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.commands.toy_run", kind, "run", str(folder.with_name("study.toml")), "-o", str(folder)]


def ended(kind: str, folder: Path, limit: Callable[[], None] | None = None) -> tuple[int, list[str]]:
    """Exit code, and what standard error says."""
    process = subprocess.run(command(kind, folder), cwd=ROOT, capture_output=True, text=True, timeout=120, preexec_fn=limit, check=False)
    return process.returncode, process.stderr.splitlines()


def assert_goes_on(folder: Path) -> None:
    """The same command, with room and time: what was complete stays, nothing is tried twice."""
    before = [trial for trial in read_trials(folder) if trial.state == "complete"] if (folder / "study.db").exists() else []
    code, told = ended("quick", folder)
    assert code == 0, told
    after = [trial for trial in read_trials(folder) if trial.state == "complete"]
    assert after[: len(before)] == before
    assert len(after) == len({trial.digest for trial in after}) == TRIALS


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ((signal.SIGTERM,), {143: "SIGTERM"}),
        pytest.param((signal.SIGINT, signal.SIGINT), {130: "Ctrl-C"}, marks=pytest.mark.slow),
        # As service managers send them; either may come first.
        pytest.param((signal.SIGTERM, signal.SIGHUP), {143: "SIGTERM", 129: "SIGHUP"}, marks=pytest.mark.slow),
    ],
)
def test_a_signal_interrupts_the_trial_ends_the_workers_and_the_study_goes_on(
    folder: Path, numbers: tuple[signal.Signals, ...], codes: dict[int, str]
) -> None:
    with subprocess.Popen(command("slow", folder), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("worker")
        time.sleep(0.2)  # into the second trial
        workers = children_of(process.pid)
        assert workers
        for number in numbers:
            process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    told = f"stopped by {codes[process.returncode]}"
    assert errors.splitlines()[-1] == f"paredown: {told}; what was finished is kept, the same command goes on"
    assert "Traceback" not in errors
    # A process that is gone, or one that nobody waited for yet.
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists() and Path(f"/proc/{worker}/cmdline").read_bytes()]
    first, second = read_trials(folder)
    assert (first.state, second.state) == ("complete", "interrupted")
    assert second.reason == f"KeyboardInterrupt: {told}"
    assert second.was_stopped
    assert_goes_on(folder)


@pytest.mark.parametrize(("command", "hint"), [("finish", ", the same command goes on"), ("doctor", "")])
def test_every_command_ends_in_order(command: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A signal becomes an exception, so that everything open is closed; afterwards signals mean what they did before."""
    closed = []

    def run(options: Namespace) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            closed.append(command)
        return 0

    monkeypatch.setattr(import_module(f"paredown.commands.{command}"), "run", run)
    before = signal.getsignal(signal.SIGTERM)
    assert main([command, "s"] if command == "finish" else [command]) == 143
    assert closed == [command]
    assert capsys.readouterr().err == f"paredown: stopped by SIGTERM; what was finished is kept{hint}\n"
    assert signal.getsignal(signal.SIGTERM) is before


def may_grow_to(size_bytes: int) -> Callable[[], None]:
    """Files may not grow beyond it: what the kernel says then is what it says on a full disk, but for the word."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 150_000])
def test_no_room_from_the_start(folder: Path, room: int) -> None:
    """Not even for the lock; for the lock, but not for the database."""
    code, told = ended("quick", folder, may_grow_to(room))
    assert code == 2, told
    assert told[:-1] == ["a toy"] or told[1].startswith("trial 0")
    assert told[-1].startswith("paredown: ")
    assert "writ" in told[-1]
    assert "file too large" in told[-1].lower() or "disk" in told[-1]
    assert_goes_on(folder)


@pytest.mark.slow
def test_no_room_in_the_middle(folder: Path) -> None:
    """The log of the database, or the diary, meets the end of the disk after some trials."""
    other = folder.with_name("other")
    assert ended("quick", other)[0] == 0
    code, told = ended("quick", folder, may_grow_to(int(1.01 * (other / "study.db").stat().st_size)))
    assert code == 2, told
    assert told[-1].startswith("paredown: a study needs room and the right to write")
    assert told[-1].endswith("what was finished is kept")
    assert_goes_on(folder)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs to mount")
def test_a_disk_that_is_really_full_or_read_only(folder: Path) -> None:
    """A file system of some pages, for one process alone."""
    disk = folder.with_name("disk")
    disk.mkdir()
    plain = " ".join(command("quick", disk / "s")).replace("disk/study.toml", "study.toml")
    for options, told in (("size=8k", "disk"), ("size=200k", "disk"), ("ro", "read-only file system")):
        script = f"mount -t tmpfs -o {options} tmpfs {disk} || exit 77; exec {plain}"
        process = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        if process.returncode in (1, 77):
            pytest.skip(f"this machine does not let us mount: {process.stderr}")
        assert process.returncode == 2, process.stderr
        last = process.stderr.splitlines()[-1]
        assert last.startswith("paredown: ")
        assert told in last.lower() or "no space left" in last.lower()
        assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_three_failures_with_one_cause_stop_it(folder: Path) -> None:
    code, told = ended("failing", folder)
    assert code == 2
    assert told[-1] == (
        "paredown: 3 failures with one cause stop a study: trials 1, 2 and 3 ended with: MemoryError: Unable to allocate 3 GiB; "
        "what was finished is kept, the same command goes on"
    )
    assert [trial.state for trial in read_trials(folder)] == ["complete", "rejected", "rejected", "rejected"]
    code, told = ended("quick", folder)
    assert code == 0
    assert len([trial for trial in read_trials(folder) if trial.is_finished]) == TRIALS


def test_a_long_trial_gives_signs_of_life(folder: Path) -> None:
    code, told = ended("pausing", folder)
    assert code == 0
    signs = [line for line in told if line.startswith("8 bits, for ")]
    assert signs
    assert "; 1/5 trials; best quality +0.00 chrF (trial 0)" in signs[0]
    assert "hypervolume" in signs[0]
    assert sum(line.startswith("trial ") for line in told) == TRIALS


def test_a_held_study_names_its_holder(folder: Path) -> None:
    with subprocess.Popen(command("slow", folder), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        code, told = ended("quick", folder)
        process.kill()
    assert code == 2
    assert f"is held by process {process.pid} since " in told[-1]
    assert "run " in told[-1]
