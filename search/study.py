"""A study: a folder that remembers every trial, and the loop that adds to it.

runs/NAME/ holds `study.toml` as run, `study.db` (every trial), `events.jsonl` (what happened when) and `lock`. One process
drives a study; parallel work is in its evaluations. A study that was killed goes on with the same command: what was
running is tried again, what is complete stays, nothing is tried twice.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paredown.errors import BadInput
from paredown.search.budget import Budget
from paredown.search.disk import writable
from paredown.search.events import EventLog
from paredown.search.lock import StudyLock
from paredown.search.objective import Objective
from paredown.search.reading import TrialReader
from paredown.search.spec import StudySpec
from paredown.search.storage import Storage, describe_difference
from paredown.search.study_file import write_spec
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import SearchSpace


class Study:
    """A study this process holds. Made by `open`, let go by `close` or the end of a `with` block."""

    def __init__(
        self,
        folder: Path,
        spec: StudySpec,
        space: SearchSpace,
        objectives: Sequence[Objective],
        budgets: Sequence[Budget],
        storage: Storage,
        events: EventLog,
        lock: StudyLock,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.space = space
        self.objectives = tuple(objectives)
        self.budgets = tuple(budgets)
        self.storage = storage
        self.events = events
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        spec: StudySpec,
        space: SearchSpace,
        objectives: Sequence[Objective],
        budgets: Sequence[Budget],
        identity: Mapping[str, Any],
    ) -> Self:
        """Creates the study, or resumes it and marks the trials that a dead process left running as interrupted.

        `identity`: what else must be equal for trials to be comparable (digests of model and data), flat, plain JSON. Budgets,
        number of trials, time, seed and sampler may change from one run to the next.
        Raises BadInput where another process holds the study, or where it exists with another space, objectives or
        identity (naming the first difference); nothing is changed then.
        """
        whole = {
            **{f"space {key}": value for key, value in space.describe().items()},
            "objectives": [[objective.name, objective.direction, objective.unit] for objective in objectives],
            **identity,
        }
        database = folder / "study.db"
        with ExitStack() as held, writable(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = StudyLock(folder)
            except OSError as error:
                raise BadInput(f"the folder of a study must be writable: {folder} ({error.strerror})") from None
            held.callback(lock.release)
            if not database.exists():
                Storage.create(database, spec.name, objectives, whole)
            storage = held.enter_context(closing(Storage(database)))
            difference = describe_difference(storage.identity, whole)
            if difference is not None:
                raise BadInput(f"study {folder} exists with another space or objectives: {difference}; choose another name")
            write_spec(spec, folder / "study.toml")
            events = held.enter_context(closing(EventLog(folder / "events.jsonl")))
            study = cls(folder, spec, space, objectives, budgets, storage, events, lock)
            interrupted = storage.recover()
            if storage.trials():
                events.append("resumed", pid=os.getpid(), interrupted=[trial.number for trial in interrupted])
            else:
                events.append("started", pid=os.getpid())
            held.pop_all()  # from here on it is the study that lets go of them
        return study

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial so far by number, interrupted ones included."""
        return self.storage.trials()

    def check(self, candidate: Candidate) -> Candidate:
        """The candidate with its knob values on the grid of the space; raises ValueError where they are not of this space."""
        if candidate.knobs is None:
            return candidate
        return Candidate(candidate.label, candidate.configuration, tuple(self.space.checked(dict(candidate.knobs)).items()))

    def close(self) -> None:
        """Lets the study go; a second call does nothing."""
        self.storage.close()
        self.events.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """The trials of a study, held by another process or not; raises BadInput where there is none."""
    with closing(TrialReader(folder / "study.db")) as reader:
        return reader.trials()


def read_identity(folder: Path) -> dict[str, Any]:
    """What a study's trials depend on (space, objectives, digests of model and data), as `Study.open` recorded it."""
    with closing(TrialReader(folder / "study.db")) as reader:
        return dict(reader.identity)
