"""The study's memory: an Optuna study in SQLite, `study.db`, which optuna-dashboard can read too.

Optuna's own fields hold state, knob values, objectives and constraints; user attributes hold what Optuna has no field for.
The constraints are those of the budgets at the time and only for the dashboard: paredown computes feasibility from the
measurements, because budgets may change when a study is resumed.
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from paredown.errors import BadInput
from paredown.search.distributions import distributions_of
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.quiet import quiet_optuna
from paredown.search.trial import Candidate, State, Trial
from paredown.space.configuration import Configuration
from paredown.space.knobs import Knob

_IDENTITY = "identity"
_LOCKED_WAIT_S = 60  # SQLite waits so long for a reader, such as the dashboard, before it gives up


class Storage:
    """Every trial of one study. A trial is written running before it is evaluated, and finished in one transaction."""

    def __init__(self, path: Path) -> None:
        """Opens an existing `study.db`; raises BadInput where it is missing or is no such database."""
        if not path.is_file():
            raise BadInput(f"a study keeps its trials in study.db, none at {path}")
        try:
            with quiet_optuna():
                # A write-ahead log that is not flushed at every commit: a killed process loses nothing, a power cut at most the last
                # trial, and a trial costs some milliseconds of bookkeeping where Optuna's dozen commits took 0.2 s of flushing.
                self._storage = _connect(path, "journal_mode=WAL", "synchronous=NORMAL")
                (name,) = optuna.get_all_study_names(self._storage)
                self._study = optuna.load_study(study_name=name, storage=self._storage, sampler=optuna.samplers.RandomSampler(0))
                self.identity: dict[str, Any] = self._study.user_attrs[_IDENTITY]
        except Exception as error:  # SQLAlchemy, Alembic and Optuna each raise their own on a file that is no such database
            raise BadInput(f"study.db must be a database written by paredown, {path} is not ({type(error).__name__})") from error
        self._finished: list[Trial] = []  # the leading trials that will not change any more, read once

    @classmethod
    def create(cls, path: Path, name: str, objectives: Sequence[Objective], identity: Mapping[str, Any]) -> None:
        """Writes a new `study.db` whole or not at all. `identity`: plain JSON, what must be equal when the study is resumed."""
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with quiet_optuna():
            storage = _connect(fresh, "synchronous=OFF")  # flushed once, below
            study = optuna.create_study(study_name=name, storage=storage, directions=[objective.direction for objective in objectives])
            study.set_user_attr("objectives", [objective.name for objective in objectives])
            study.set_user_attr(_IDENTITY, dict(identity))
            study.set_metric_names([objective.name for objective in objectives])
            _disconnect(storage)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(fresh, path)

    def trials(self) -> tuple[Trial, ...]:
        """All trials by number, those of dead processes as running until `recover` has run."""
        frozen_trials = self._study.get_trials(deepcopy=False)
        for frozen in frozen_trials[len(self._finished) :]:
            if not frozen.state.is_finished():
                break
            self._finished.append(_thaw(frozen))
        return (*self._finished, *(_thaw(frozen) for frozen in frozen_trials[len(self._finished) :]))

    def recover(self) -> tuple[Trial, ...]:
        """Marks what a dead process left running as failed and returns it. Only the holder of the study's lock may call this."""
        stale = [frozen for frozen in self._study.get_trials(deepcopy=False) if not frozen.state.is_finished()]
        with quiet_optuna():
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
        with quiet_optuna():
            # Two steps, but the attributes are in the first: whatever a kill leaves behind says what it was.
            self._study.enqueue_trial(params or {}, user_attrs=attributes)
            return self._study.ask(distributions_of(knobs) if params is not None else None)

    def complete(
        self, trial: optuna.Trial, outcome: Outcome, values: Sequence[float], constraints: Mapping[str, float], seconds: float
    ) -> None:
        """Finishes a trial with one value per objective; `constraints`: violation by budget name."""
        trial.set_user_attr("measurements", outcome.to_json())
        trial.set_user_attr("seconds", seconds)
        for name, violation in constraints.items():
            trial.set_constraint(name, violation)
        with quiet_optuna():
            self._study.tell(trial, list(values))

    def fail(self, trial: optuna.Trial, state: State, reason: str, seconds: float) -> None:
        """Finishes a trial without values: "rejected" for good, or "interrupted" to be tried again."""
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("seconds", seconds)
        trial.set_user_attr("rejected", state == "rejected")
        with quiet_optuna():
            self._study.tell(trial, state=TrialState.FAIL)

    def close(self) -> None:
        """Lets go of the database file."""
        _disconnect(self._storage)


def _connect(path: Path, *pragmas: str) -> optuna.storages.RDBStorage:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=_LOCKED_WAIT_S, check_same_thread=False)
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs={"creator": connect})


def _disconnect(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _thaw(frozen: FrozenTrial) -> Trial:
    attributes = frozen.user_attrs
    measurements, knobs = attributes.get("measurements"), attributes["knobs"]
    return Trial(
        number=frozen.number,
        state=_state(frozen),
        candidate=Candidate(attributes["label"], Configuration.from_json(attributes["configuration"]), knobs and tuple(knobs.items())),
        outcome=Outcome.from_json(measurements) if measurements is not None and frozen.state == TrialState.COMPLETE else None,
        seconds=float(attributes.get("seconds", 0.0)),
        reason=attributes.get("reason", "its process ended before it was done" if frozen.state == TrialState.FAIL else None),
    )


def _state(frozen: FrozenTrial) -> State:
    if frozen.state == TrialState.COMPLETE:
        return "complete"
    if frozen.state == TrialState.FAIL:
        return "rejected" if frozen.user_attrs.get("rejected") else "interrupted"
    return "running"


def describe_difference(recorded: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first key at which two identities differ, and both values; None where they are equal."""
    wanted = json.loads(json.dumps(wanted))  # tuples as the database gives them back: lists
    for key in sorted({*recorded, *wanted}):
        before, now = recorded.get(key), wanted.get(key)
        if before != now:
            return f"{key} is {_short(before)} there and {_short(now)} here"
    return None


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
