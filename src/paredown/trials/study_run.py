"""One run of a study, from its file to the last trial: load, check, analyse, build the space, measure."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.bundle.manifest import write_frontend
from paredown.data import PREFIX, Split, open_data
from paredown.data.audio_check import check_audio
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.quality.metrics import check_words, found_tokenizer
from paredown.runtime.audio_limits import find_limits
from paredown.runtime.bundle_files import read_manifest
from paredown.runtime.features import Frontend
from paredown.search.joint import TARGET
from paredown.search.lock import check_unheld
from paredown.search.loop import Watch, run_study
from paredown.search.spec import StudySpec
from paredown.search.storage import describe_difference
from paredown.search.study import Study, read_identity, read_trials
from paredown.search.trial import Candidate
from paredown.search.warm_start import from_study
from paredown.space.axes.base import SearchSpace
from paredown.space.configuration import Configuration, Input
from paredown.trials.anchor import may_anchor
from paredown.trials.arrangement import make_evaluation
from paredown.trials.calibrating import calibrate_workshop, calibration_digest
from paredown.trials.evaluation import Known, uncompressed
from paredown.trials.findings import find
from paredown.trials.limits import check_budgets, check_space, check_targets, inputs_of
from paredown.trials.metering import EnergyRequest
from paredown.trials.power import Power, open_power
from paredown.trials.recoveries import Recovery
from paredown.trials.recovering import hear_teacher, make_recovering, open_training
from paredown.trials.space import first_candidates, make_space, obvious_candidates
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop


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


def conduct(spec: StudySpec, folder: Path, watch: Watch, tell: Teller, warm: Sequence[Path] = (), ray: str | None = None) -> Finished:
    """Start or resume the study in `folder`. `tell` gets the steps before the trials, `watch` the trials.

    `warm`: other studies whose trials are tried first, beside those that the file names. `ray`: address of a cluster that decodes, and
    whose node with the study's target measures; None does everything here.
    Raises BadInput for whatever the user can mend; nothing is written into `folder` then that was not there before.
    """
    began = time.monotonic()
    check_targets(spec)
    energy = energy_request(spec, here=ray is None)
    model = load_model(spec.model.path)
    reference = uncompressed(model)
    check_space(spec.space, model)
    search_split, analysis_split = split_of(spec, "search"), split_of(spec, "analysis")
    check_words((spec.objectives.quality,), found_tokenizer(search_split.references(model.task)))
    data = open_training(spec, model.task)
    if data is not None:
        for split in (search_split, analysis_split, *tested(spec)):
            data.check_apart(split)
    recovering = make_recovering(spec, data, model, reference)
    with ExitStack() as held:
        power = held.enter_context(open_power(spec, ray, tell))
        if energy is not None and not power.here:
            power.check_energy(energy)
        identity = _identity(spec, model, search_split, analysis_split, power, energy)
        if recovering is not None:
            identity |= recovering.describe()
        refuse_conflict(folder, identity)
        left_out = ", ".join(model.dropped) or "nothing"
        tell.line(f"{spec.model.path}: {model.inference_parameters / 1e6:.1f}M parameters for inference; left out: {left_out}")
        workshop = held.enter_context(Workshop(model, Recovery(data, tell, power.elsewhere)))
        for split in (search_split, analysis_split):
            check_split(split, workshop, inputs_of(spec.space))
        findings = find(spec.space, model, analysis_split, workshop, power.decoder, tell)
        if spec.space.is_calibrated:
            calibrate_workshop(workshop, findings.supernet, analysis_split, power.decoder, tell)
        hear_teacher(recovering, data, model, tell, power.elsewhere)
        space = make_space(spec.space, model, findings, workshop.count_survivors, spec.target.kernel)
        evaluation = make_evaluation(spec, workshop, power, search_split, analysis_split, energy, known_costs(folder, reference), tell)
        check_budgets(spec, space, workshop, evaluation.full, evaluation.foreseen)
        given = (*first_candidates(space, model), *from_others(spec, warm, space, model, tell))
        with Study.open(folder, spec, space, spec.objective_list, spec.budget_list, identity) as study:
            evaluation.remember(study.trials, study.objectives)
            used_s = time.monotonic() - began
            why = run_study(
                study,
                evaluation.evaluate,
                given,
                seconds_used=used_s,
                watch=watch,
                recovering=recovering,
                lanes=power.lanes,
                foretell=evaluation.foretell,
                board=evaluation.board,
                asides=obvious_candidates(space, spec.space, model),
            )
    return Finished(folder, why, findings.seconds, time.monotonic() - began)


def _identity(
    spec: StudySpec, model: Model, search_split: Split, analysis_split: Split, power: Power, energy: EnergyRequest | None
) -> dict[str, Any]:
    """What must be equal for trials to be comparable."""
    identity: dict[str, Any] = {"model": model.digest, "search split": search_split.digest}
    identity |= {TARGET + fact: value for fact, value in power.machine.facts.items()}  # each by its name, for the message where one differs
    for other in power.others:
        identity |= {f"{other.name} {TARGET}{fact}": value for fact, value in other.machine.facts.items()}
    if energy is not None:
        identity["energy source"] = energy.check()  # figures of a counter and of an estimate share no scale
    if spec.space.is_calibrated:
        identity["calibration"] = calibration_digest(model.digest, analysis_split)
    if spec.target.kernel != "int8":
        identity["kernel"] = spec.target.kernel
    return identity


def from_others(spec: StudySpec, warm: Sequence[Path], space: SearchSpace, model: Model, tell: Teller) -> tuple[Candidate, ...]:
    """The trials of the studies that this one begins with. Raises BadInput where one is of another model, or is none."""
    found: list[Candidate] = []
    for folder in dict.fromkeys((*map(Path, spec.search.warm_start), *warm)):
        start = from_study(folder, space, model.digest)
        left_out = f"; {start.left_out} do not lie in this space" if start.left_out else ""
        tell.line(f"warm start: {len(start.candidates)} trials of {folder}{left_out}")
        found += start.candidates
    return tuple(found)


def refuse_conflict(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises BadInput, before hours are spent, where another process holds the study or it was made of something else."""
    check_unheld(folder)
    if (folder / "study.db").exists():
        recorded = read_identity(folder)
        difference = describe_difference({key: recorded.get(key) for key in identity}, identity)
        if difference is not None:
            raise BadInput(f"study {folder} exists, made of something else: {difference}; choose another name or remove the folder")


def target_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the fingerprint that a study was measured under."""
    return {name.removeprefix(TARGET): value for name, value in identity.items() if name.startswith(TARGET)}


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


def energy_request(spec: StudySpec, here: bool = True) -> EnergyRequest | None:
    """How the study counts energy, None where it does not. Raises BadInput, with what to do about it, where this machine cannot.

    `here`: whether this machine is the target.
    """
    if not spec.objectives.energy:
        return None
    source = "estimate" if spec.objectives.energy == "estimate" else None
    request = EnergyRequest("cpu", source, spec.target.tdp_w, spec.target.tdp_cores)
    if here:
        request.check()
    return request


def known_costs(folder: Path, reference: Configuration) -> Known:
    """Latency and energy of the reference in an earlier run, and what was timed beside it first, so that all trials share one scale."""
    trials = [trial for trial in read_trials(folder) if trial.outcome is not None] if (folder / "study.db").exists() else []
    plain = next((trial.outcome.measurement_of for trial in trials if trial.outcome and trial.configuration == reference), None)
    if plain is None:
        return Known()
    latencies = {name.partition("@")[2]: figure.value for name, figure in plain.items() if name.startswith("latency_ms@")}
    own_ms, energy = latencies.pop("cpu"), plain.get("energy_mj@cpu")
    measured = [(trial.configuration, trial.outcome.measurement_of["latency_ms@cpu"]) for trial in trials if trial.outcome]
    anchor = next(((one, figure) for one, figure in measured if one != reference and may_anchor(figure, own_ms)), None)
    return Known(own_ms, None if energy is None else energy.value, tuple(latencies.items()), anchor)


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
