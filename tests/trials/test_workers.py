"""What every worker process must be, and what happens to jobs whose worker dies."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.trials.workers import ONE_BLAS_THREAD, WorkerDied, Workers

DEADLINE_S = 60.0  # a process starts in a second; a machine that is shared may take many


def die_first(marks: Path, times: int, number: int = signal.SIGKILL) -> str:
    """Kills its process as often as `times`, then gives an answer."""
    died = len(list(marks.iterdir()))
    if died < times:
        (marks / f"{died}").touch()
        os.kill(os.getpid(), number)
    return "done"


def leave(code: int) -> None:
    os._exit(code)


def sleep(marks: Path, seconds: float) -> int:
    (marks / f"{os.getpid()}").touch()
    time.sleep(seconds)
    return os.getpid()


def refuse(message: str) -> None:
    raise BadInput(message)


class Awkward(Exception):
    """Cannot be unpickled: it wants two arguments and hands on one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one}{two}")


def be_awkward() -> None:
    raise Awkward("a", "b")


def wait_until(is_so: object) -> None:
    end = time.monotonic() + DEADLINE_S
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_workers_start_with_one_blas_thread() -> None:
    with Workers(1) as workers:
        assert {name: workers.run(os.getenv, name) for name in ONE_BLAS_THREAD} == ONE_BLAS_THREAD


def test_results_come_in_order_from_as_many_processes_as_asked(tmp_path: Path) -> None:
    with Workers(2) as workers:
        assert workers.map(pow, [(2, n) for n in range(20)]) == [2**n for n in range(20)]
        assert len(set(workers.map(sleep, [(tmp_path, 0.3)] * 2))) == 2


def test_a_job_whose_worker_is_killed_is_repeated(tmp_path: Path) -> None:
    with Workers(1) as workers:
        assert workers.run(die_first, tmp_path, 1) == "done"
        assert workers.run(os.getpid) == workers.run(os.getpid)  # and the fresh process stays


@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGKILL, r"killed by signal 9; out of memory\?"), (signal.SIGSEGV, r"killed by signal 11")]
)
def test_a_job_that_kills_two_workers_says_what_killed_them(tmp_path: Path, number: int, told: str) -> None:
    with Workers(1) as workers:
        with pytest.raises(WorkerDied, match=rf"a worker process died twice \({told}\)"):
            workers.run(die_first, tmp_path, 9, number)
        assert len(list(tmp_path.iterdir())) == 2
        with pytest.raises(WorkerDied, match=r"\(exit code 3\)"):
            workers.run(leave, 3)
        assert workers.run(abs, -1) == 1  # the next job has a process again


def test_a_worker_killed_between_two_jobs_costs_nothing() -> None:
    with Workers(1) as workers:
        for _ in range(4):  # twice in a row would be a job's own fault
            process = workers.run(os.getpid)
            os.kill(process, signal.SIGKILL)
            wait_until(
                lambda process=process: not Path(f"/proc/{process}/cmdline").exists() or not Path(f"/proc/{process}/cmdline").read_bytes()
            )
        assert workers.run(abs, -1) == 1


def test_a_death_costs_no_other_worker_its_job(tmp_path: Path) -> None:
    """Of two processes one dies at its job again and again; what the other one is at is done once."""
    (tmp_path / "deaths").mkdir()
    (tmp_path / "starts").mkdir()
    with Workers(2) as workers:
        long = workers.submit(sleep, tmp_path / "starts", 1.0)
        bad = workers.submit(die_first, tmp_path / "deaths", 9)
        with pytest.raises(WorkerDied):
            bad.result()
        long.result()
    assert len(list((tmp_path / "starts").iterdir())) == 1


def test_many_threads_and_a_killer(tmp_path: Path) -> None:
    """Whoever is killed, every thread gets its own results, each once. A job is not hit twice: the killer spares the marked process."""
    stop, killed = threading.Event(), []

    def kill() -> None:
        while not stop.wait(0.05):
            for mark in list(tmp_path.iterdir())[:1]:
                mark.unlink()
                os.kill(int(mark.name), signal.SIGKILL)
                killed.append(mark.name)
            if len(killed) >= 3:
                return

    with Workers(2) as workers, ThreadPoolExecutor(4) as threads:
        killer = threading.Thread(target=kill)
        killer.start()
        answers = [threads.submit(workers.run, mark_once, tmp_path, n) for n in range(24)]
        found = Counter(answer.result(DEADLINE_S) for answer in answers)
        stop.set()
        killer.join()
    assert found == Counter(range(24))
    assert len(killed) == 3


def mark_once(marks: Path, number: int) -> int:
    """Three jobs, at their first try, ask to be killed and wait for it; the marks of those killed before are gone."""
    asked = marks.with_name(f"{marks.name}-asked")
    asked.mkdir(exist_ok=True)
    if number in (3, 9, 15) and not (asked / f"{number}").exists():
        (asked / f"{number}").touch()
        (marks / f"{os.getpid()}").touch()
        time.sleep(DEADLINE_S)
    return number


def test_what_a_job_raises_comes_out_and_says_where(tmp_path: Path) -> None:
    with Workers(1) as workers:
        with pytest.raises(BadInput, match="rule and value") as caught:
            workers.run(refuse, "rule and value")
        assert "in refuse" in str(caught.value.__cause__)
        with pytest.raises(RuntimeError, match="Awkward: ab"):
            workers.run(be_awkward)
        with pytest.raises((pickle.PicklingError, AttributeError)):
            workers.run(lambda: 1)
        with pytest.raises((RuntimeError, TypeError), match="pickle"):
            workers.run(threading.Lock)  # its result cannot come back
        assert workers.run(abs, -1) == 1


def test_the_first_failure_ends_the_rest(tmp_path: Path) -> None:
    with Workers(2) as workers:
        assert workers.run(abs, -1) == 1
        begin = time.monotonic()
        slow, bad = workers.submit(sleep, tmp_path, 0.0), workers.submit(abs, "x")
        assert slow.result() > 0
        with pytest.raises(TypeError):
            bad.result()
        with pytest.raises(ValueError, match="invalid literal"):
            workers.map(int, [("x",)] + [("1",)] * 50)
        with pytest.raises(BadInput):
            _map_mixed(workers, tmp_path)
        assert time.monotonic() - begin < DEADLINE_S  # the sleeper would take longer


def _map_mixed(workers: Workers, marks: Path) -> None:
    workers.map(refuse_or_sleep, [("no", 0.0), ("", 10 * DEADLINE_S)])


def refuse_or_sleep(message: str, seconds: float) -> None:
    time.sleep(seconds)
    refuse(message)


def test_closing_now_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    workers = Workers(1)
    running, waiting = workers.submit(sleep, tmp_path, 10 * DEADLINE_S), workers.submit(abs, -1)
    wait_until(lambda: any(tmp_path.iterdir()))
    workers.close(now=True)
    for future in (running, waiting):
        with pytest.raises(CancelledError):
            future.result(0)
    workers.close()
    assert len(list(tmp_path.iterdir())) == 1  # killed by us: not repeated
    with pytest.raises(RuntimeError, match="after they were closed"):
        workers.submit(abs, -1)


def test_closing_waits_for_what_runs(tmp_path: Path) -> None:
    with Workers(1) as workers:
        running = workers.submit(sleep, tmp_path, 0.2)
        wait_until(lambda: any(tmp_path.iterdir()))
    assert running.result(0) > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_go_with_their_parent(tmp_path: Path, number: int) -> None:
    """In the middle of a job, and without a word."""
    code = (
        "from pathlib import Path; from paredown.trials.workers import Workers; from tests.trials.test_workers import sleep\n"
        f"if __name__ == '__main__': Workers(1).run(sleep, Path({str(tmp_path)!r}), {10 * DEADLINE_S})"
    )
    script = tmp_path.with_suffix(".py")
    script.write_text(code)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, str(script)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    wait_until(lambda: any(tmp_path.iterdir()))
    (mark,) = tmp_path.iterdir()
    parent.send_signal(number)
    parent.wait()
    wait_until(lambda: not Path(f"/proc/{mark.name}").exists())


def test_no_worker_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        Workers(0)
