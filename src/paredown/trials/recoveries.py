"""Recoveries by their digest: weights that training stages made, kept in the user's cache, made once.

A recovery is what stands behind the last training stage of a configuration's schedule. Configurations that differ in what comes after it
(bits, where they were not trained with; decoding) share it. A stage that was killed goes on from its last checkpoint.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.training import Training
from paredown.user_cache import cache_folder

if TYPE_CHECKING:
    from paredown.compress.recovered import Recovered
    from paredown.models import Model
    from paredown.recover.training_data import TrainingData
    from paredown.trials.teller import Teller

_RUN = "run"


@dataclass(frozen=True)
class Recovery:
    """Where trained weights come from: the data of training stages, None where there is none, and who is told of progress."""

    data: "TrainingData | None"
    tell: "Teller"


def recovery_key(model_digest: str, configuration: Configuration) -> str:
    """Digest of the weights that training made of this configuration, of its own or inherited. Raises ValueError where none did."""
    from paredown.recover.execute import last_training, recovery_digest

    place = last_training(configuration)
    if place is not None:
        return recovery_digest(model_digest, configuration, place)
    if configuration.inherited is None:
        raise ValueError("a recovery needs a training stage or inherited weights, the schedule has neither")
    return configuration.inherited


def recover(model: "Model", configuration: Configuration, recovery: Recovery | None) -> "Recovered | None":
    """The weights that the configuration's training makes, from the cache or trained now; None where nothing is trained or inherited.

    Raises BadInput if inherited weights are not at hand, or a stage that was never run names data that is not `recovery.data`.
    """
    start = None if configuration.inherited is None else find_recovery(configuration.inherited)
    for place, stage in enumerate(configuration.schedule):
        if isinstance(stage, Training):
            start = _stage(model, configuration, place, start, recovery)
    return start


def find_recovery(digest: str) -> "Recovered":
    """The recovery of this digest, as one to start from. Raises BadInput, with what to do about it, if it is not at hand."""
    found = _load(_cache() / digest)
    if found is None:
        raise BadInput(
            f"the recovery {digest[:12]} of this configuration is not at hand: run the study that made it again, or put its folder "
            f"into {_cache() / digest}"
        )
    return replace(found, stages=0)


def _stage(model: "Model", configuration: Configuration, place: int, start: "Recovered | None", recovery: Recovery | None) -> "Recovered":
    """What stands behind one training stage."""
    from filelock import FileLock

    from paredown.recover.adapters import require_packages
    from paredown.recover.execute import Surroundings, recovery_digest, run_stage
    from paredown.trials.training_batches import batches_of

    digest = recovery_digest(model.digest, configuration, place)
    stage = configuration.schedule[place]
    assert isinstance(stage, Training)
    found = _load(_cache() / digest)
    if found is not None:
        return found
    data = _checked(stage, None if recovery is None else recovery.data)
    assert recovery is not None
    if stage.kind in ("lora", "qlora"):
        require_packages(stage.kind)  # before the teacher is asked for minutes
    _make_cache()
    with FileLock(_cache() / f"{digest}.lock"):  # another process waits, and then finds it in the cache
        found = _load(_cache() / digest)
        if found is None:
            run = _cache() / f"{digest}.{_RUN}"
            batches = batches_of(model, configuration.input, stage, data, recovery.tell)
            found = run_stage(model, configuration, place, start, batches, Surroundings(run, recovery.tell.line))
            _keep(found, _cache() / digest)
            shutil.rmtree(run, ignore_errors=True)
    return found


def _checked(stage: Training, data: "TrainingData | None") -> "TrainingData":
    """The data of a stage, which names it by digest."""
    if data is None:
        raise BadInput(f"the configuration's schedule trains ({stage.kind}): it needs training data, data.train of a study or --train DATA")
    data.check(stage)
    return data


def _keep(found: "Recovered", target: Path) -> None:
    """Writes a recovery beside its place and moves it there. Raises BadInput if the cache cannot be written."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".draft-") as draft:
            folder = Path(draft) / target.name
            folder.mkdir()
            found.save(folder)
            os.replace(folder, target)
    except OSError as error:
        raise _unwritable(error) from error


def _make_cache() -> None:
    try:
        _cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> BadInput:
    return BadInput(f"the cache folder must be writable, {_cache()} is not ({error.strerror or error}); PAREDOWN_CACHE names another")


def _load(folder: Path) -> "Recovered | None":
    """A recovery that was kept; one that is damaged counts as absent."""
    from paredown.compress.recovered import Recovered

    if not folder.is_dir():
        return None
    try:
        return Recovered.load(folder)
    except (OSError, ValueError, KeyError):
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _cache() -> Path:
    return cache_folder() / "recoveries"
