"""The stream of batches that a training stage learns from: its mixture of data, with what the uncompressed model says of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paredown.models.input_size import resize_input
from paredown.profilers.machine_lock import machine_share
from paredown.recover.batch import Batch
from paredown.recover.items import gather_items
from paredown.recover.stream import StreamSettings, choose_items, source_of
from paredown.recover.teacher import find_posteriors
from paredown.recover.trainer import BatchSource
from paredown.recover.training_data import TrainingData
from paredown.space.configuration import Input
from paredown.space.training import Training
from paredown.trials.teaching import teach

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.trials.teller import Teller


def batches_of(model: "Model", heard: Input, stage: Training, data: TrainingData, tell: "Teller") -> BatchSource:
    """Batches of a stage from any position on, heard as the configuration's input wants it.

    Hypotheses and posteriors of the teacher, the uncompressed model, are found first where the stage needs them; both stay in the user's
    cache. Raises BadInput where the data are not those that the stage names, hold no target or cannot be read.
    """
    data.check(stage)
    hypotheses = teach(model, data.train, tell) if stage.needs_hypotheses else None
    items = gather_items(model, data, stage.mixture, hypotheses)
    posteriors = None
    if stage.teacher > 0:
        tell.line(f"{stage.kind}: the uncompressed model's posteriors of {len(items)} targets")

        def progress(done: int, total: int) -> None:
            tell.progress("posteriors of the teacher, batches", done, total)

        posteriors = find_posteriors(model, items, data.digests, progress=progress, unit=machine_share)
    frontend = resize_input(model.frontend, heard)
    course = choose_items(items, model.network, frontend, posteriors, source_from_teacher=True)
    if (left_out := course.describe()) is not None:
        tell.line(f"{stage.kind}: {left_out}")
    bound = f"{stage.steps} steps" if stage.steps is not None else f"{stage.minutes:g} min"
    tell.line(f"{stage.kind}: {bound} on {len(course.items)} targets")
    source = source_of(course, StreamSettings(frontend, stage.batch_s, seed=stage.seed))
    return lambda position: _in_turn(source(position))


def _in_turn(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Each batch while no other process measures: it is held until the next one is asked for, so what is done with it waits too."""
    for batch in batches:
        with machine_share():
            yield batch
