"""Recoveries by their digest: weights that training stages made, kept in the user's cache, made once.

A recovery is what stands behind the last training stage of a configuration's schedule. Configurations that differ in what comes after it
(bits, where they were not trained with; decoding) share it. A stage that was killed goes on from its last checkpoint.
"""

import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.training import ADAPTERS, Training
from paredown.user_cache import cache_folder, unwritable

if TYPE_CHECKING:
    from paredown.compress.recovered import Recovered
    from paredown.models import Model
    from paredown.recover.training_data import TrainingData
    from paredown.trials.teller import Teller

_RUN = "run"


@dataclass(frozen=True, eq=False)
class Work:
    """A configuration to train: whose weights, the uncompressed model that it learns from, on what; `starts`: folders of recoveries to go
    on from, by digest.
    """

    model: "Model"
    teacher: "Model"
    configuration: Configuration
    data: "TrainingData"
    starts: Mapping[str, Path] = field(default_factory=dict)


class Elsewhere(Protocol):
    """Other machines that train: see `paredown.cluster.trainer`."""

    def train(self, work: Work, wanted: Sequence[str]) -> None:
        """Brings the recoveries `wanted`, by digest, into this machine's cache."""

    def hear(self, work: Work, stage: Training) -> None:
        """Has whoever trains hear what a stage learns from the teacher."""


@dataclass(frozen=True)
class Recovery:
    """Where trained weights come from: the data of training stages, None where there is none, and who is told of progress.

    `elsewhere`: who trains instead of this machine, None where nobody does.
    """

    data: "TrainingData | None"
    tell: "Teller"
    elsewhere: Elsewhere | None = None


def recovery_key(model_digest: str, configuration: Configuration) -> str:
    """Digest of the weights that training made of this configuration, of its own or inherited. Raises ValueError where none did."""
    from paredown.recover.execute import last_training, recovery_digest

    place = last_training(configuration)
    if place is not None:
        return recovery_digest(model_digest, configuration, place)
    if configuration.inherited is None:
        raise ValueError("a recovery needs a training stage or inherited weights, the schedule has neither")
    return configuration.inherited


def recover(model: "Model", configuration: Configuration, recovery: Recovery | None, teacher: "Model | None" = None) -> "Recovered | None":
    """The weights that the configuration's training makes, from the cache or trained now; None where nothing is trained or inherited.

    `teacher`: the uncompressed model that stages learn from, where `model` is a supernet of it (None: `model` itself). Nothing before the
    last stage that is kept is looked for. Raises BadInput if inherited weights are needed and not at hand, or if a stage that was never
    run names data that is not `recovery.data`.
    """
    from paredown.recover.execute import recovery_digest

    teacher = model if teacher is None else teacher
    places = [place for place, stage in enumerate(configuration.schedule) if isinstance(stage, Training)]
    digests = {place: recovery_digest(model.digest, configuration, place, teacher.digest) for place in places}
    todo: list[int] = []
    start, source = None, configuration.inherited
    for place in reversed(places):
        start = _load(recovery_folder(digests[place]))
        if start is not None:
            source = digests[place]
            break
        todo.insert(0, place)
    if start is None and source is not None:
        start = find_recovery(source)
    work = [_Stage(model, teacher, configuration, place, digests[place]) for place in todo]
    if work and recovery is not None and recovery.elsewhere is not None:
        return _from_elsewhere(work, source, recovery, recovery.elsewhere)
    for each in work:
        start = _stage(each, start, recovery)
    return start


def _from_elsewhere(work: "Sequence[_Stage]", source: str | None, recovery: Recovery, elsewhere: Elsewhere) -> "Recovered":
    """What stands behind the last of these stages, trained by somebody else; `source`: the recovery that the first one goes on from."""
    data = [_checked(each.stage, recovery.data) for each in work][-1]
    last, starts = work[-1], {} if source is None else {source: recovery_folder(source)}
    elsewhere.train(Work(last.model, last.teacher, last.configuration, data, starts), [each.digest for each in work])
    found = _load(recovery_folder(last.digest))
    if found is None:
        raise RuntimeError(f"a recovery that was trained elsewhere must be in the cache, {last.digest[:12]} is not")
    return found


def recovery_folder(digest: str) -> Path:
    """Where the recovery of this digest lies, if it is there."""
    return _cache() / digest


def take_in(digest: str, folder: Path) -> None:
    """Keeps a recovery that was made elsewhere, unless it is there. Raises BadInput where `folder` holds none or it cannot be kept."""
    if _load(recovery_folder(digest)) is not None:
        return
    found = _load(folder)
    if found is None:
        raise BadInput(f"a recovery must arrive as it was made, {digest[:12]} did not")
    _make_cache()
    _keep(found, recovery_folder(digest))


def find_recovery(digest: str) -> "Recovered":
    """The recovery of this digest, as one to start from. Raises BadInput, with what to do about it, if it is not at hand."""
    found = _load(recovery_folder(digest))
    if found is None:
        raise BadInput(
            f"the recovery {digest[:12]} of this configuration is not at hand: run the study that made it again, or put its folder "
            f"into {recovery_folder(digest)}"
        )
    return replace(found, stages=0)


@dataclass(frozen=True, eq=False)
class _Stage:
    """A training stage that is not in the cache: the one at `place` of the schedule, whose weights have this digest."""

    model: "Model"
    teacher: "Model"
    configuration: Configuration
    place: int
    digest: str

    @property
    def stage(self) -> Training:
        stage = self.configuration.schedule[self.place]
        assert isinstance(stage, Training)
        return stage


def _stage(work: _Stage, start: "Recovered | None", recovery: Recovery | None) -> "Recovered":
    """What stands behind one training stage."""
    from filelock import FileLock

    from paredown.recover.adapters import require_packages
    from paredown.recover.execute import Surroundings, run_stage
    from paredown.trials.training_batches import batches_of

    stage, target = work.stage, recovery_folder(work.digest)
    data = _checked(stage, None if recovery is None else recovery.data)
    assert recovery is not None
    if stage.kind in ADAPTERS:
        require_packages(stage.kind)  # before the teacher is asked for minutes
    _make_cache()
    with FileLock(f"{target}.lock"):  # another process waits, and then finds it in the cache
        found = _load(target)
        run = target.with_name(f"{target.name}.{_RUN}")
        if found is None:
            batches = batches_of(work.teacher, work.configuration.input, stage, data, recovery.tell)
            found = run_stage(work.model, work.configuration, work.place, start, batches, Surroundings(run, recovery.tell.line))
            _keep(found, target)
        shutil.rmtree(run, ignore_errors=True)
    return found


def _checked(stage: Training, data: "TrainingData | None") -> "TrainingData":
    """The data of a stage, which names it by digest."""
    if data is None:
        raise BadInput(f"the configuration's schedule trains ({stage.kind}): it needs training data, data.train of a study or --train DATA")
    data.check(stage)
    return data


def _keep(found: "Recovered", target: Path) -> None:
    """Writes a recovery beside its place and moves it there; a damaged one that is there goes. Raises BadInput if that cannot be done."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".draft-") as draft:
            folder = Path(draft) / target.name
            folder.mkdir()
            found.save(folder)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(folder, target)
    except OSError as error:
        raise unwritable(_cache(), error) from error


def _make_cache() -> None:
    try:
        _cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(_cache(), error) from error


def _load(folder: Path) -> "Recovered | None":
    """A recovery that was kept; one that is damaged counts as absent. Raises BadInput for one that may not be read."""
    from paredown.compress.recovered import Recovered

    try:
        return Recovered.load(folder)
    except PermissionError as error:
        raise BadInput(f"a kept recovery must be readable, {folder} is not ({error.strerror})") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def _cache() -> Path:
    return cache_folder() / "recoveries"
