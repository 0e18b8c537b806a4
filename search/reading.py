"""Reads a study's trials by plain SQL from the tables that Optuna writes.

Optuna's own reading builds objects for every row of seven tables: 1 s for 2,000 trials, beside 0.1 s here, and it writes (it sets the
journal's mode), which a folder on a read-only disk refuses. Only tables and columns of Optuna's public schema are used, and the tests
hold every answer against Optuna's.
"""

import gc
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from paredown.errors import BadInput
from paredown.search.disk import refusal, writable
from paredown.search.outcome import Outcome
from paredown.search.trial import Candidate, State, Trial
from paredown.space.configuration import Configuration, digest_json

IDENTITY = "identity"  # the study's user attribute that holds what its trials depend on
LOCKED_WAIT_S = 60  # SQLite waits so long for another process, such as the dashboard, before it gives up
DEAD = "its process ended before it was done"
_ROWS = "FROM trials WHERE study_id = ? AND number >= ?"
_STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "stopped", "RUNNING": "running", "WAITING": "running"}


class TrialReader:
    """The trials of one `study.db`, held by another process or not. What is finished is read once."""

    def __init__(self, path: Path, live: bool = False) -> None:
        """Raises BadInput where the database is missing or was not written by paredown.

        On a disk that takes no file beside it, it is read as it stands, unless it is `live`, about to be written; BadInput then.
        """
        if not path.is_file():
            raise BadInput(f"a study keeps its trials in study.db, none at {path}")
        self._path = path
        self._finished: dict[int, Trial] = {}
        self._leading = 0  # trials 0 to this one are finished: they are not looked at again
        with self._own_database():
            self._connection = _open(path, live)
            ((self._study,),) = self._connection.execute("SELECT study_id FROM studies")
            query = "SELECT value_json FROM study_user_attributes WHERE study_id = ? AND key = ?"
            ((identity,),) = self._connection.execute(query, (self._study, IDENTITY))
            self.identity: dict[str, Any] = json.loads(identity)

    def trials(self) -> tuple[Trial, ...]:
        """All trials by number; one that no process works on any more is running until the study is opened again."""
        with self._own_database(), _uncollected():
            rows, attributes = self._read()
            fresh = []
            for key, number, state in rows:
                trial = self._finished.get(number) or _thaw(number, state, attributes[key])
                fresh.append(trial)
                if trial.state != "running":
                    self._finished[number] = trial
        known = tuple(self._finished[number] for number in range(self._leading))
        while self._leading in self._finished:
            self._leading += 1
        return (*known, *fresh)

    def _read(self) -> tuple[list[tuple[int, int, str]], dict[int, dict[str, Any]]]:
        """(key, number, state) of all trials but the leading ones that are finished, and user attributes by key: of one moment."""
        where = (self._study, self._leading)
        self._connection.execute("BEGIN")
        try:
            rows = self._connection.execute(f"SELECT trial_id, number, state {_ROWS} ORDER BY number", where).fetchall()
            query = f"SELECT trial_id, key, value_json FROM trial_user_attributes WHERE trial_id IN (SELECT trial_id {_ROWS})"
            written = self._connection.execute(query, where).fetchall()
        finally:
            self._connection.execute("ROLLBACK")
        attributes: dict[int, dict[str, Any]] = {key: {} for key, _, _ in rows}
        for key, name, text in written:
            attributes[key][name] = text
        return rows, attributes

    @contextmanager
    def _own_database(self) -> Iterator[None]:
        try:
            yield
        except BadInput:
            raise
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"study.db must be a database written by paredown, {self._path} is not ({type(error).__name__})") from error

    def close(self) -> None:
        """Lets go of the database file; a second call does nothing."""
        self._connection.close()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector, which takes a third of the time here to go through what was made, and finds no cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _open(path: Path, live: bool) -> sqlite3.Connection:
    """A connection that only reads. SQLite needs two files beside the database to read it safely; a closed study does without."""
    plain = f"file:{quote(str(path.resolve()))}"
    connection = None
    try:
        connection = sqlite3.connect(f"{plain}?mode=rw", uri=True, timeout=LOCKED_WAIT_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM studies").fetchone()
    except sqlite3.OperationalError as error:
        if connection is not None:
            connection.close()
        log = path.with_name(path.name + "-wal")
        if live or refusal(error) is None or (log.exists() and log.stat().st_size):
            with writable(path):
                raise
        return sqlite3.connect(f"{plain}?immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return connection


class StoredCandidate(Candidate):
    """A candidate whose configuration stays JSON until somebody asks for it: parsing them is most of the time that reading takes, and
    who shows a front of 30 trials out of 2,000 needs 30. Equal to the candidate that was stored."""

    @classmethod
    def of(cls, label: str, text: str, knobs: tuple[tuple[str, float], ...] | None) -> Self:
        """`text`: the configuration as `Configuration.to_json` wrote it."""
        candidate = cls.__new__(cls)
        candidate.__dict__.update(label=label, knobs=knobs, text=text)
        return candidate

    @cached_property
    def configuration(self) -> Configuration:
        return Configuration.from_json(self.__dict__["text"])

    @cached_property
    def digest(self) -> str:
        """Of the JSON as it is, which is canonical: nothing is parsed for it."""
        return digest_json(self.__dict__["text"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidate):
            return NotImplemented
        return (self.label, self.knobs, self.configuration) == (other.label, other.knobs, other.configuration)

    def __hash__(self) -> int:
        return hash((self.label, self.configuration, self.knobs))


def _thaw(number: int, state: str, attributes: dict[str, str]) -> Trial:
    """A trial of its row and its user attributes, each in JSON."""

    def value(name: str) -> Any:
        return json.loads(attributes[name]) if name in attributes else None

    knobs, measurements, partial = json.loads(attributes["knobs"]), value("measurements"), value("partial")
    failed = state == "FAIL"
    return Trial(
        number=number,
        state=("rejected" if value("rejected") else "interrupted") if failed else _STATES[state],
        candidate=StoredCandidate.of(value("label"), value("configuration"), knobs and tuple(knobs.items())),
        outcome=Outcome.from_json(measurements) if measurements is not None and state == "COMPLETE" else None,
        seconds=float(value("seconds") or 0.0),
        reason=value("reason") or (DEAD if failed else None),
        partial=Outcome.from_json(partial) if partial is not None and state == "PRUNED" else None,
    )
