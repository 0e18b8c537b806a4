"""The study's memory: what is stopped early, what a full or read-only disk does, and what a power cut leaves."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from paredown.errors import BadInput
from paredown.search import storage as storage_module
from paredown.search.disk import writable
from paredown.search.lock import is_held
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.storage import Storage
from paredown.search.study import Study, read_identity, read_trials
from paredown.space.configuration import Configuration
from tests.search.toy import evaluate, given, open_study, outcome, toy_spec

PARTIAL = Outcome(tuple(pair for pair in outcome(-3.0, 40.0, 9e6).measurements if pair[0] == "size_bytes"))


def fill(study: Study, trials: int = 3) -> None:
    """One complete, one stopped, one rejected, in turn."""
    for number, candidate in enumerate(given()[:trials]):
        running = study.storage.begin(candidate, study.space.knobs)
        if number % 3 == 0:
            found = evaluate(candidate.configuration, number)
            values = [found.value(objective.name) for objective in study.objectives]
            study.storage.complete(running, found, values, {"size": -0.5}, 2.0)
        elif number % 3 == 1:
            study.storage.stop(running, PARTIAL, "size is 9 MB, 1 MB above the budget", 0.25)
        else:
            study.storage.fail(running, "rejected", "its graph differs", 1.0)


def test_a_stopped_trial_keeps_what_was_measured_and_why(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        fill(study)
        before = study.trials
    for trials in (before, read_trials(tmp_path)):
        complete, stopped, rejected = trials
        assert (stopped.state, stopped.outcome, stopped.partial, stopped.seconds) == ("stopped", None, PARTIAL, 0.25)
        assert stopped.reason == "size is 9 MB, 1 MB above the budget"
        assert stopped.is_finished
        assert (complete.state, complete.partial, rejected.state, rejected.partial) == ("complete", None, "rejected", None)
    loaded = optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path}/study.db")
    assert [frozen.state.name for frozen in loaded.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    with open_study(tmp_path, toy_spec()) as study:  # it is finished: nothing is taken back
        assert study.trials == before


def test_digests_are_read_without_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        fill(study)
        expected = [candidate.configuration.digest for candidate in given()]
    read = read_trials(tmp_path)
    monkeypatch.setattr(Configuration, "from_json", None)
    assert [trial.digest for trial in read] == expected


def test_what_is_read_is_what_optuna_reads(tmp_path: Path) -> None:
    """Also while trials run beside each other and end in another order than they began."""
    with open_study(tmp_path, toy_spec()) as study:
        first, second, third = (study.storage.begin(candidate, study.space.knobs) for candidate in given())
        for running, count in ((third, 1), (first, 2), (second, 3)):
            study.storage.stop(running, PARTIAL, "raced out", 1.0)
            assert [trial.state for trial in study.trials].count("stopped") == count
            assert read_trials(tmp_path) == study.trials
        found = study.trials
    for frozen, trial in zip(optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path}/study.db").trials, found, strict=True):
        assert (frozen.number, frozen.user_attrs["digest"], frozen.user_attrs["label"]) == (trial.number, trial.digest, trial.label)
        assert Configuration.from_json(frozen.user_attrs["configuration"]) == trial.configuration
        assert tuple(frozen.params.items()) == (trial.candidate.knobs or ())


def test_a_finished_trial_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        fill(study)
        before = study.trials
        monkeypatch.setattr(Configuration, "from_json", None)  # nothing is left to parse
        assert study.trials == before
        assert all(one is other for one, other in zip(study.trials, before, strict=True))


def test_another_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as other:
        other.execute("CREATE TABLE studies (study_id INTEGER)")
    with pytest.raises(BadInput, match="must be a database written by paredown"):
        read_trials(tmp_path)
    optuna.create_study(study_name="foreign", storage=f"sqlite:///{tmp_path}/foreign.db")
    (tmp_path / "foreign.db").replace(tmp_path / "study.db")
    with pytest.raises(BadInput, match="must be a database written by paredown"):
        read_trials(tmp_path)


# A full disk: SQLite's own limit gives its own error of one, wherever in a trial it strikes.


@pytest.mark.parametrize("pages", [0, 2, 4, 8])
def test_a_full_disk_says_so_and_the_study_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    with open_study(tmp_path, toy_spec(trials=2)) as study:
        run_study(study, evaluate, given())
        before = study.trials
        ((size,),) = sqlite3.connect(tmp_path / "study.db").execute("PRAGMA page_count")
    limit_pages(monkeypatch, size + pages)
    with open_study(tmp_path, toy_spec(trials=12)) as study, pytest.raises(BadInput) as caught:
        run_study(study, lambda configuration, number: fat(evaluate(configuration, number)), given())
    rule = f"a study needs room and the right to write, {tmp_path}/study.db has not: database or disk is full; what was finished is kept"
    assert str(caught.value) == rule
    assert not is_held(tmp_path)
    assert read_trials(tmp_path)[:2] == before
    monkeypatch.undo()
    assert_resumes(tmp_path, read_trials(tmp_path))


def fat(found: Outcome) -> Outcome:
    """With so many figures that a trial fills pages."""
    more = tuple((f"figure {index:04d}", found.measurements[0][1]) for index in range(100))
    return Outcome((*found.measurements, *more))


def limit_pages(monkeypatch: pytest.MonkeyPatch, pages: int) -> None:
    connect = storage_module._connect
    monkeypatch.setattr(storage_module, "_connect", lambda path, *pragmas: connect(path, *pragmas, f"max_page_count={pages}"))


def assert_resumes(folder: Path, before: tuple[object, ...]) -> None:
    """Nothing that was complete is lost or repeated, and the study ends as it should."""
    with open_study(folder, toy_spec(trials=12)) as study:
        assert run_study(study, evaluate, given()) == "all 12 trials are done"
        found = study.trials
    complete = [trial for trial in before if getattr(trial, "state", None) == "complete"]
    assert [trial for trial in found if trial.state == "complete"][: len(complete)] == complete
    digests = [trial.digest for trial in found if trial.is_finished]
    assert len(set(digests)) == len(digests) == 12
    ((sound,),) = sqlite3.connect(folder / "study.db").execute("PRAGMA integrity_check")
    assert sound == "ok"


def test_a_study_that_cannot_be_created_leaves_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_pages(monkeypatch, 5)
    with pytest.raises(BadInput, match=r"study\.db has not: database or disk is full"):
        open_study(tmp_path, toy_spec())
    assert not (tmp_path / "study.db").exists()
    assert not is_held(tmp_path)
    monkeypatch.undo()
    assert_resumes(tmp_path, ())


LIMITED = """
import resource, sys
from pathlib import Path
from paredown.errors import BadInput
from paredown.search.loop import run_study
from tests.search import toy
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with toy.open_study(Path(sys.argv[1]), toy.toy_spec(trials=12)) as study:
        run_study(study, toy.evaluate, toy.given())
except BadInput as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 9_000, 60_000])
def test_files_that_may_not_grow_in_a_real_process(tmp_path: Path, room: int) -> None:
    """The kernel refuses every write behind a size: that of the database and some room for its log."""
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, given())
        before = study.trials
    limit = str(room) if room else str((tmp_path / "events.jsonl").stat().st_size)
    command = [sys.executable, "-c", LIMITED, str(tmp_path), limit]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    assert ended.stdout.startswith("a study needs room and the right to write") or "must be writable" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1
    assert read_trials(tmp_path)[:3] == before
    assert_resumes(tmp_path, read_trials(tmp_path))


# Read-only: root may write everything, so SQLite and the system are told to refuse.


def test_a_read_only_database_is_refused_and_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, given())
        before = study.trials
    connect = storage_module._connect
    monkeypatch.setattr(storage_module, "_connect", lambda path, *pragmas: connect(path, *pragmas, "query_only=ON"))
    with open_study(tmp_path, toy_spec(trials=12)) as study, pytest.raises(BadInput, match="attempt to write a readonly database"):
        run_study(study, evaluate, given())
    monkeypatch.undo()
    assert read_trials(tmp_path) == before
    assert_resumes(tmp_path, before)


def test_a_study_on_a_read_only_disk_can_still_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, given())
        before = study.trials
    opened: list[str] = []
    real = sqlite3.connect

    def connect(database: str, **named: object) -> sqlite3.Connection:
        opened.append(database)
        # A folder that is not there is, to SQLite, one in which it cannot make its log.
        return real(database if "immutable" in database else "file:/nowhere/study.db?mode=rw", **named)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("paredown.search.reading.sqlite3.connect", connect)
    assert read_trials(tmp_path) == before
    assert read_identity(tmp_path)["model"] == "abc"
    assert "immutable=1" in opened[-1]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs to mount")
def test_a_disk_that_is_mounted_read_only(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec(trials=3)) as study:
        run_study(study, evaluate, given())
        before = study.trials
    mounted = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    count = f"from pathlib import Path; from paredown.search.study import read_trials; print(len(read_trials(Path({str(tmp_path)!r}))))"
    root = Path(__file__).parents[2]
    for code, expected in ((count, "3"), (LIMITED, "a study needs room and the right to write"), (LIMITED, "read-only file system")):
        script = f'{mounted} && exec "$0" -c "$1" "$2" 1000000000'
        command = ["unshare", "-m", "sh", "-c", script, sys.executable, code, str(tmp_path)]
        ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stderr == ""
        assert expected in ended.stdout.lower() or "must be writable" in ended.stdout
    assert read_trials(tmp_path) == before


def test_a_power_cut_loses_nothing_that_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on the disk after each flush, and nothing that was written later, holds every trial finished until then."""
    kept = tmp_path / "after the cut"
    flush, flushed = os.fsync, []

    def keep(handle: int) -> None:
        flush(handle)
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        flushed.append(name)
        if name == "study.db-wal":
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            for file in ("study.db", "study.db-wal"):
                shutil.copy(tmp_path / "s" / file, kept / file)

    monkeypatch.setattr(os, "fsync", keep)
    with open_study(tmp_path / "s", toy_spec()) as study:
        assert flushed[:2] == ["study.db.new", "s"]
        for candidate in given():
            running = study.storage.begin(candidate, study.space.knobs)
            study.storage.stop(running, PARTIAL, "raced out", 1.0)
            assert flushed[-1] == "study.db-wal"
            assert read_trials(kept) == study.trials


def test_a_log_torn_in_the_middle_is_a_study_without_its_last_trial(tmp_path: Path) -> None:
    """Cut at any place of the log, what is left opens, is sound, and holds the first trials as they were."""
    with open_study(tmp_path / "s", toy_spec()) as study:
        fill(study)
        found = study.trials
        log = (tmp_path / "s" / "study.db-wal").read_bytes()
        database = (tmp_path / "s" / "study.db").read_bytes()
    for length in range(0, len(log), max(1, len(log) // 12)):
        torn = tmp_path / f"torn {length}"
        torn.mkdir()
        (torn / "study.db").write_bytes(database)
        (torn / "study.db-wal").write_bytes(log[:length] + os.urandom(500))
        left = [trial for trial in read_trials(torn) if trial.is_finished]
        assert left == list(found[: len(left)])
        with open_study(torn, toy_spec()) as study:
            assert all(trial.state != "running" for trial in study.trials)


def test_what_is_no_fault_of_the_disk_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writable(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), writable(tmp_path):
        raise FileNotFoundError(2, "no such file")


def test_a_second_close_does_nothing(tmp_path: Path) -> None:
    with open_study(tmp_path, toy_spec()) as study:
        database = Storage(study.folder / "study.db")
        database.close()
        database.close()
        assert study.trials == ()  # the study's own connection lives on
