"""What a study with a table `[recovery]` trains on, and how its candidates are trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from paredown.data import load_split
from paredown.errors import BadInput
from paredown.recover.training_data import TrainingData
from paredown.search.recovery import Recovering
from paredown.search.spec import StudySpec
from paredown.space.configuration import Configuration
from paredown.space.training import ADAPTERS
from paredown.trials.recoveries import Elsewhere, Work, recovery_key
from paredown.trials.teller import Teller

if TYPE_CHECKING:
    from paredown.models import Model


def open_training(spec: StudySpec, task: str) -> TrainingData | None:
    """The data that the study trains on, None where it trains nothing.

    Raises BadInput where it cannot be read, or where an utterance has no reference that training takes.
    """
    section = spec.recovery
    if section is None or spec.data.train is None:
        return None
    train = load_split(spec.data.train, labelled=section.needs_references)
    if section.needs_references:
        train.references(task)
    if spec.data.other is None:
        return TrainingData(train)
    other = load_split(spec.data.other)
    other.references(task)
    return TrainingData(train, other)


def kept_training(spec: StudySpec, task: str) -> TrainingData | None:
    """The same, but None also where the data is not on this disk any more: what was trained lies in the cache."""
    named = [Path(path) for path in (spec.data.train, spec.data.other) if path is not None]
    return open_training(spec, task) if all(path.exists() for path in named) else None


def make_recovering(spec: StudySpec, data: TrainingData | None, model: "Model", reference: Configuration) -> Recovering | None:
    """How the study's candidates are trained, None where they are not. `reference`: the uncompressed model.

    Raises BadInput where the kind of training needs a package that is missing.
    """
    if spec.recovery is None:
        return None
    if data is None:
        raise BadInput("recovery needs data.train, a manifest or a folder to train on, got none")
    if spec.recovery.kind in ADAPTERS:
        from paredown.recover.adapters import require_packages  # torch

        require_packages(spec.recovery.kind)

    def key(configuration: Configuration) -> str:
        return recovery_key(model.digest, configuration)

    return Recovering(spec.recovery, data.digest, data.other_digest, model.inventory(), reference, key)


def hear_teacher(
    recovering: Recovering | None, data: TrainingData | None, model: "Model", tell: Teller, elsewhere: Elsewhere | None = None
) -> None:
    """What the uncompressed model says of the training data, where candidates learn from it: found before the first trial and kept, so
    that no trial takes longer than its training. `elsewhere`: who trains instead of this machine. Raises BadInput where the data cannot
    be used.
    """
    if recovering is None or data is None:
        return
    stage = recovering.stage(0)
    if not (stage.teacher > 0 or stage.needs_hypotheses):
        return
    if elsewhere is not None:
        tell.line("the nodes hear the teacher, the uncompressed model")
        elsewhere.hear(Work(model, model, recovering.reference, data), stage)
    else:
        from paredown.trials.training_batches import batches_of  # torch

        batches_of(model, recovering.reference.input, stage, data, tell)
