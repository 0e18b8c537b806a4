"""The study's memory: an Optuna study in SQLite, `study.db`, which optuna-dashboard can read too.

Optuna's own fields hold state, knob values, objectives and constraints; user attributes hold what Optuna has no field for.
The constraints are those of the budgets at the time and only for the dashboard: paredown computes feasibility from the
measurements, because budgets may change when a study is resumed. Optuna writes, `reading` reads.

What survives what. A killed process loses nothing that was committed. For a power cut, what a trial wrote is flushed once, when it is
finished: the database is a write-ahead log with checksums, so what was not flushed is as if it had never been written. A full disk or
a read-only one refuses a commit whole; the trial then stays running in the file and is taken back when the study is opened again.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from paredown.errors import BadInput
from paredown.search.disk import flush_file, writable
from paredown.search.distributions import distributions_of
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.quiet import quiet_optuna
from paredown.search.reading import IDENTITY, LOCKED_WAIT_S, TrialReader
from paredown.search.trial import Candidate, State, Trial
from paredown.space.knobs import Knob


class Storage:
    """Every trial of one study. A trial is written running before it is evaluated, and finished in one transaction."""

    def __init__(self, path: Path) -> None:
        """Opens an existing `study.db`; raises BadInput where it is missing, is no such database or cannot be written."""
        self._path = path
        self._reader = TrialReader(path, live=True)
        self.identity: dict[str, Any] = self._reader.identity
        try:
            with writable(path), quiet_optuna():
                # Commits are not flushed: Optuna's dozen commits took 0.2 s of flushing for each trial. `_finishing` does it once.
                self._storage = _connect(path, "journal_mode=WAL", "synchronous=NORMAL")
                (name,) = optuna.get_all_study_names(self._storage)
                self._study = optuna.load_study(study_name=name, storage=self._storage, sampler=optuna.samplers.RandomSampler(0))
        except BaseException as error:
            self._reader.close()
            if isinstance(error, BadInput) or not isinstance(error, Exception):
                raise
            # SQLAlchemy, Alembic and Optuna each raise their own on a file that is no such database
            raise BadInput(f"study.db must be a database written by paredown, {path} is not ({type(error).__name__})") from error

    @classmethod
    def create(cls, path: Path, name: str, objectives: Sequence[Objective], identity: Mapping[str, Any]) -> None:
        """Writes a new `study.db` whole or not at all. `identity`: plain JSON, what must be equal when the study is resumed.

        Raises BadInput where the disk is full or the folder cannot be written.
        """
        fresh = path.with_name(path.name + ".new")
        with writable(path), quiet_optuna():
            fresh.unlink(missing_ok=True)
            storage = _connect(fresh, "synchronous=OFF")  # flushed once, below
            study = optuna.create_study(study_name=name, storage=storage, directions=[objective.direction for objective in objectives])
            study.set_user_attr("objectives", [objective.name for objective in objectives])
            study.set_user_attr(IDENTITY, dict(identity))
            study.set_metric_names([objective.name for objective in objectives])
            _disconnect(storage)
            flush_file(fresh)
            fresh.replace(path)
            flush_file(path.parent)  # its name

    def trials(self) -> tuple[Trial, ...]:
        """All trials by number, those of dead processes as running until `recover` has run."""
        return self._reader.trials()

    def recover(self) -> tuple[Trial, ...]:
        """Marks what a dead process left running as failed and returns it. Only the holder of the study's lock may call this."""
        if all(trial.state != "running" for trial in self.trials()):
            return ()
        with writable(self._path), quiet_optuna():
            stale = [frozen for frozen in self._study.get_trials(deepcopy=False) if not frozen.state.is_finished()]
            for frozen in stale:
                if frozen.state == TrialState.WAITING:
                    self._study.ask()  # only a running trial can be failed; at most one waits, so this is the one
                self._study.tell(frozen.number, state=TrialState.FAIL)
        numbers = {frozen.number for frozen in stale}
        return tuple(trial for trial in self.trials() if trial.number in numbers)

    def begin(self, candidate: Candidate, knobs: Sequence[Knob]) -> optuna.Trial:
        """Writes the candidate as a running trial."""
        params = None if candidate.knobs is None else dict(candidate.knobs)
        attributes = {
            "label": candidate.label,
            "digest": candidate.digest,
            "configuration": candidate.configuration.to_json(),
            "knobs": params,
        }
        with writable(self._path), quiet_optuna():
            # Two steps, but the attributes are in the first: whatever a kill leaves behind says what it was.
            self._study.enqueue_trial(params or {}, user_attrs=attributes)
            return self._study.ask(distributions_of(knobs) if params is not None else None)

    def complete(
        self, trial: optuna.Trial, outcome: Outcome, values: Sequence[float], constraints: Mapping[str, float], seconds: float
    ) -> None:
        """Finishes a trial with one value per objective; `constraints`: violation by budget name."""
        with self._finishing(trial, {"measurements": outcome.to_json(), "seconds": seconds}):
            for name, violation in constraints.items():
                trial.set_constraint(name, violation)
            self._study.tell(trial, list(values))

    def stop(self, trial: optuna.Trial, partial: Outcome, reason: str, seconds: float) -> None:
        """Finishes a trial that the search itself ended early; `partial`: what was measured until then."""
        with self._finishing(trial, {"partial": partial.to_json(), "reason": reason, "seconds": seconds}):
            self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, state: State, reason: str, seconds: float) -> None:
        """Finishes a trial without values: "rejected" for good, or "interrupted" to be tried again."""
        with self._finishing(trial, {"reason": reason, "seconds": seconds, "rejected": state == "rejected"}):
            self._study.tell(trial, state=TrialState.FAIL)

    @contextmanager
    def _finishing(self, trial: optuna.Trial, attributes: Mapping[str, Any]) -> Iterator[None]:
        """Attributes first and the state last, so that a trial is finished in the file only with all that belongs to it; then flushed."""
        with writable(self._path), quiet_optuna():
            for name, value in attributes.items():
                trial.set_user_attr(name, value)
            yield
            flush_file(self._path.with_name(self._path.name + "-wal"))

    def close(self) -> None:
        """Lets go of the database file; a second call does nothing."""
        self._reader.close()  # first: the last one to let go writes the log back into the database
        _disconnect(self._storage)


def _connect(path: Path, *pragmas: str) -> optuna.storages.RDBStorage:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=LOCKED_WAIT_S, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs={"creator": connect})


def _disconnect(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def describe_difference(recorded: Mapping[str, Any], wanted: Mapping[str, Any], there: str = "there", here: str = "here") -> str | None:
    """The first key at which two identities differ, and both values; None where they are equal. `there` and `here`: whose they are."""
    wanted = json.loads(json.dumps(wanted))  # tuples as the database gives them back: lists
    for key in sorted({*recorded, *wanted}):
        before, now = recorded.get(key), wanted.get(key)
        if before != now:
            return f"{key} is {_short(before)} {there} and {_short(now)} {here}"
    return None


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
