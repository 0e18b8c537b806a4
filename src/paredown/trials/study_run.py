"""One run of a study, from its file to the last trial: load, analyse, build the space, measure."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paredown.data import PREFIX, Split, open_data
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.profilers.size import measure_size
from paredown.search.loop import Watch, run_study
from paredown.search.spec import StudySpec
from paredown.search.study import Study
from paredown.space.axes.base import SearchSpace
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import UNCOMPRESSED, Evaluator
from paredown.trials.sensitivity import AnalysisSettings, analyse
from paredown.trials.space import first_candidates, make_space
from paredown.trials.timing import Stopwatch
from paredown.trials.workshop import Workshop

Say = Callable[[str], None]


@dataclass(frozen=True)
class Finished:
    """How a run of a study ended: `why` it stopped, the seconds its analysis took (0 from the cache) and those of the whole run."""

    study: Path
    why: str
    analysis_seconds: float
    seconds: float


def split_of(spec: StudySpec, name: str) -> Split:
    """A split of the study's data: what the file names, else what comes with a bundled model. Raises BadInput where there is none."""
    named = getattr(spec.data, name)
    if named is not None:
        return open_data(named)
    if spec.model.path.startswith(PREFIX):
        return open_data(f"{spec.model.path}/{name}")
    raise BadInput(f"a study of {spec.model.path} needs data.{name}: a manifest or a folder")


def conduct(spec: StudySpec, folder: Path, watch: Watch, say: Say, settings: AnalysisSettings | None = None) -> Finished:
    """Start or resume the study in `folder`. `say` gets a line for each step before the trials.

    Raises BadInput for whatever the user can mend; nothing is written into `folder` then that was not there before.
    """
    began = time.monotonic()
    model = load_model(spec.model.path)
    search_split, analysis_split = split_of(spec, "search"), split_of(spec, "analysis")
    search_split.references(model.task)
    left_out = ", ".join(model.dropped) or "nothing"
    say(f"{spec.model.path}: {model.inference_parameters / 1e6:.1f}M parameters for inference; left out: {left_out}")
    with Decoder() as decoder, Workshop(model, spec.model.path) as workshop, Stopwatch(threads=1) as stopwatch:
        analysed = analyse(model, analysis_split, workshop, decoder, settings or AnalysisSettings.for_space(spec.space), say)
        space = make_space(spec.space, model.inventory(), analysed.analysis)
        refuse_impossible_size(spec, space, workshop)
        identity = {"model": model.digest, "search split": search_split.digest}
        with Study.open(folder, spec, space, spec.objective_list, spec.budget_list, identity) as study:
            evaluate = Evaluator(
                workshop, decoder, stopwatch, search_split, spec.objectives.quality, spec.search.seed, latency_ms=_known_latency_ms(study)
            )
            given = first_candidates(space, spec.space, model.inventory())
            why = run_study(study, evaluate, given, seconds_used=time.monotonic() - began, watch=watch)
    return Finished(folder, why, analysed.seconds, time.monotonic() - began)


def refuse_impossible_size(spec: StudySpec, space: SearchSpace, workshop: Workshop) -> None:
    """Raises BadInput if no point of the space can keep the size budget: all axes at their lowest, built once."""
    for budget in spec.budget_list:
        if budget.measure == "size_bytes":
            smallest = measure_size(workshop.build(space.smallest())).size_bytes
            workshop.discard(space.smallest())
            if smallest > budget.limit:
                raise BadInput(f"{budget} cannot be reached: with every axis at its lowest the bundle has {smallest / 1e6:.2f} MB")


def _known_latency_ms(study: Study) -> float | None:
    """The reference latency of an earlier run, so that all trials of a study share one scale."""
    for trial in study.trials:
        if trial.configuration == UNCOMPRESSED and trial.outcome is not None:
            return trial.outcome.value("latency_ms@cpu")
    return None


def default_folder(spec: StudySpec) -> Path:
    """`runs/NAME` under the working directory, or under PAREDOWN_RUNS."""
    return Path(os.environ.get("PAREDOWN_RUNS", "runs")) / spec.name


def studied_model(spec: StudySpec, recorded_digest: str) -> Model:
    """The model of a study, checked to be the one that was studied."""
    model = load_model(spec.model.path)
    if model.digest != recorded_digest:
        raise BadInput(
            f"{spec.model.path} is not the model that was studied: its digest is {model.digest[:12]}, not {recorded_digest[:12]}"
        )
    return model
