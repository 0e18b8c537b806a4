"""One run of a study, from its file to the last trial: load, check, analyse, build the space, measure."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.bundle.manifest import write_frontend
from paredown.data import PREFIX, Split, open_data
from paredown.data.audio_check import check_audio
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.profilers.fingerprint import read_fingerprint
from paredown.quality.metrics import check_words, found_tokenizer
from paredown.runtime.audio_limits import find_limits
from paredown.runtime.bundle_files import read_manifest
from paredown.runtime.features import Frontend
from paredown.search.lock import is_held
from paredown.search.loop import Watch, run_study
from paredown.search.spec import StudySpec
from paredown.search.storage import describe_difference
from paredown.search.study import Study, read_identity, read_trials
from paredown.space.configuration import Configuration, Input
from paredown.trials.calibrating import calibrate_workshop, calibration_digest
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import Evaluator, Known, uncompressed
from paredown.trials.findings import find
from paredown.trials.limits import check_budgets, check_space, inputs_of
from paredown.trials.metering import EnergyRequest
from paredown.trials.recoveries import Recovery
from paredown.trials.recovering import hear_teacher, make_recovering, open_training
from paredown.trials.space import first_candidates, make_space
from paredown.trials.teller import Teller
from paredown.trials.timing import Stopwatch
from paredown.trials.workshop import Workshop

_TARGET = "target's "  # what facts of the fingerprint are named by in a study's identity


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


def tested(spec: StudySpec) -> tuple[Split, ...]:
    """The test split that the file names, none where it names none or one that is not on this disk."""
    return (split_of(spec, "test"),) if spec.data.test is not None and Path(spec.data.test).exists() else ()


def conduct(spec: StudySpec, folder: Path, watch: Watch, tell: Teller) -> Finished:
    """Start or resume the study in `folder`. `tell` gets the steps before the trials, `watch` the trials.

    Raises BadInput for whatever the user can mend; nothing is written into `folder` then that was not there before.
    """
    began = time.monotonic()
    energy = energy_request(spec)
    model = load_model(spec.model.path)
    inventory, reference = model.inventory(), uncompressed(model)
    check_space(spec.space, model)
    search_split, analysis_split = split_of(spec, "search"), split_of(spec, "analysis")
    check_words((spec.objectives.quality,), found_tokenizer(search_split.references(model.task)))
    data = open_training(spec, model.task)
    if data is not None:
        for split in (search_split, analysis_split, *tested(spec)):
            data.check_apart(split)
    recovering = make_recovering(spec, data, model, reference)
    threads = spec.target.threads
    machine = read_fingerprint(threads)
    identity: dict[str, Any] = {"model": model.digest, "search split": search_split.digest}
    identity |= {_TARGET + fact: value for fact, value in machine.facts.items()}  # each by its name, for the message where one differs
    if energy is not None:
        identity["energy source"] = energy.check()  # figures of a counter and of an estimate share no scale
    if spec.space.is_calibrated:
        identity["calibration"] = calibration_digest(model.digest, analysis_split)
    if recovering is not None:
        identity |= recovering.describe()
    refuse_conflict(folder, identity)
    left_out = ", ".join(model.dropped) or "nothing"
    tell.line(f"{spec.model.path}: {model.inference_parameters / 1e6:.1f}M parameters for inference; left out: {left_out}")
    with Decoder() as decoder, Workshop(model, Recovery(data, tell)) as workshop, Stopwatch(threads) as stopwatch:
        for split in (search_split, analysis_split):
            check_split(split, workshop, inputs_of(spec.space))
        findings = find(spec.space, model, analysis_split, workshop, decoder, tell)
        if spec.space.is_calibrated:
            calibrate_workshop(workshop, findings.supernet, analysis_split, decoder, tell)
        hear_teacher(recovering, data, model, tell)
        space = make_space(spec.space, model, findings, workshop.count_survivors)
        metric, seed = spec.objectives.quality, spec.search.seed
        evaluate = Evaluator(workshop, decoder, stopwatch, search_split, metric, seed, machine, energy, known_costs(folder, reference))
        check_budgets(spec, space, workshop, evaluate)
        with Study.open(folder, spec, space, spec.objective_list, spec.budget_list, identity) as study:
            given = first_candidates(space, spec.space, inventory)
            used_s = time.monotonic() - began
            why = run_study(study, evaluate, given, seconds_used=used_s, watch=watch, recovering=recovering)
    return Finished(folder, why, findings.seconds, time.monotonic() - began)


def refuse_conflict(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises BadInput, before hours are spent, where another process holds the study or it was made of something else."""
    if is_held(folder):
        raise BadInput(f"one process drives a study at a time: {folder} is held by another one")
    if (folder / "study.db").exists():
        recorded = read_identity(folder)
        difference = describe_difference({key: recorded.get(key) for key in identity}, identity)
        if difference is not None:
            raise BadInput(f"study {folder} exists, made of something else: {difference}; choose another name or remove the folder")


def target_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the fingerprint that a study was measured under."""
    return {name.removeprefix(_TARGET): value for name, value in identity.items() if name.startswith(_TARGET)}


def check_split(split: Split, workshop: Workshop, inputs: Sequence[Input] = (Input(),)) -> None:
    """Raises BadInput if an audio file cannot be read, or is shorter or longer than a bundle takes that hears one of `inputs`."""
    model = workshop.model
    manifest = read_manifest(workshop.build(uncompressed(model)))
    found = []
    for heard in inputs:
        frontend = Frontend.from_json(json.loads(write_frontend(model, Configuration(input=heard))))
        found.append(find_limits(manifest.memory, frontend, manifest.least_frames, lambda states: manifest.beam_size * states))
    # Every file is decoded in full, so only for the input that needs most audio and the one that bears least.
    strictest = (max(found, key=lambda one: one.least_samples / one.sample_rate_hz), min(found, key=lambda one: one.longest_s))
    for limits in dict.fromkeys(strictest):
        check_audio(split, limits.least_samples, limits.sample_rate_hz, limits.most_samples)


def energy_request(spec: StudySpec) -> EnergyRequest | None:
    """How the study counts energy, None where it does not. Raises BadInput, with what to do about it, where this machine cannot."""
    if not spec.objectives.energy:
        return None
    source = "estimate" if spec.objectives.energy == "estimate" else None
    request = EnergyRequest("cpu", source, spec.target.tdp_w, spec.target.tdp_cores)
    request.check()
    return request


def known_costs(folder: Path, reference: Configuration) -> Known:
    """Latency and energy of the reference in an earlier run, so that all trials of a study share one scale."""
    for trial in read_trials(folder) if (folder / "study.db").exists() else ():
        if trial.configuration == reference and trial.outcome is not None:
            energy = trial.outcome.measurement_of.get("energy_mj@cpu")
            return Known(trial.outcome.value("latency_ms@cpu"), None if energy is None else energy.value)
    return Known()


def default_folder(spec: StudySpec) -> Path:
    """`runs/NAME` under the working directory, or under PAREDOWN_RUNS."""
    return Path(os.environ.get("PAREDOWN_RUNS", "runs")) / spec.name


def studied_model(spec: StudySpec, recorded_digest: str) -> Model:
    """The model of a study, checked to be the one that was studied."""
    model = load_model(spec.model.path)
    if model.digest != recorded_digest:
        found, studied = model.digest[:12], recorded_digest[:12]
        raise BadInput(f"{spec.model.path} is not the model that was studied: its digest is {found}, not {studied}")
    return model
