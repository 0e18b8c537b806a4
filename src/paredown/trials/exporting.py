"""Bundles to keep: of a model and a configuration, or of a trial of a study; trained and calibrated where that says so, parity checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.search.study import read_identity
from paredown.search.study_folder import read_study
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration
from paredown.trials.preparing import Prepared, check_data, prepare, trained_weights, trains_adapters, with_gap
from paredown.trials.recovering import kept_training
from paredown.trials.study_run import split_of, studied_model, target_of
from paredown.trials.supernets import weights_of
from paredown.trials.teller import QUIET, Teller

if TYPE_CHECKING:
    from paredown.bundle.forms import Form
    from paredown.bundle.parity.gate import ParityReport
    from paredown.data import Split
    from paredown.models import Model
    from paredown.profilers.size import Ratios
    from paredown.recover.training_data import TrainingData

FP32_BYTES = 4
_BY_TRIAL = "the trial says what computes each layer"


@dataclass(frozen=True)
class Written:
    """A folder that was written, and what is known of it.

    `size_bytes`: all that it needs on disk; `times_smaller`: than the model's parameters in fp32; `ratios`: that in three ways, of a bundle
    alone; `parity`: how far its graphs are from torch, None for a checkpoint, which has none; `supernet`: whose weights it has, if any.
    """

    folder: Path
    form: "Form"
    size_bytes: int
    times_smaller: float
    ratios: "Ratios | None"
    parity: "ParityReport | None"
    prepared: Prepared
    supernet: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        figures: dict[str, Any] = {"bundle": str(self.folder), "form": self.form, "size_bytes": self.size_bytes}
        figures |= {} if self.ratios is None else {"ratios": asdict(self.ratios)}
        return figures | ({} if self.parity is None else {"parity": self.parity.to_dict()}) | self.prepared.figures


def export_trial(
    study: Path, trial: Trial, directory: Path, form: "Form" = "bundle", *, force: bool = False, tell: Teller = QUIET
) -> Written:
    """Write a trial of the study in that folder. `force`: replace what paredown wrote there in this form.

    Raises BadInput where the model is not the one that was studied, or `directory` holds something else; ParityError where the bundle
    would not compute what torch does. Nothing is written then.
    """
    from paredown.bundle.forms import check_place

    spec, _ = read_study(study)
    check_place(directory, form, force)
    identity = read_identity(study)
    whole = studied_model(spec, str(identity["model"]))
    figures = {name: figure.to_dict() for name, figure in (trial.outcome.measurements if trial.outcome else ())}
    about = {"study": spec.name, "trial": trial.number, "label": trial.label, "target": target_of(identity), "measurements": figures}
    heard = trial.configuration.is_calibrated or trains_adapters(trial.configuration)
    split = split_of(spec, "analysis") if heard else None
    training = kept_training(spec, whole.task) if trial.configuration.is_recovered else None
    return _make(_Order(whole, trial.configuration, split, _BY_TRIAL, training, about), directory, form, force, tell)


def convert_model(
    whole: "Model",
    configuration: Configuration,
    directory: Path,
    form: "Form" = "bundle",
    *,
    split: "Split | None" = None,
    fixed: str | None = None,
    training: "TrainingData | None" = None,
    force: bool = False,
    tell: Teller = QUIET,
) -> Written:
    """Write the model as the configuration says.

    `split`: what calibration and the check for activation outliers hear; `fixed`: why no layer may fall back to fp32, None where some may;
    `training`: what a schedule that trains trains on. Raises as `export_trial` does, and BadInput for calibration without `split`.
    """
    from paredown.bundle.forms import check_place

    check_place(directory, form, force)
    if form == "espnet":
        fixed = "a checkpoint has no kernels"
    check_data(configuration, split)  # before minutes of training
    return _make(_Order(whole, configuration, split, fixed, training), directory, form, force, tell)


@dataclass(frozen=True)
class _Order:
    """What is to be made of which model; `about` goes into `measurements.json`, which counts for nothing."""

    whole: "Model"
    configuration: Configuration
    split: "Split | None"
    fixed: str | None
    training: "TrainingData | None"
    about: Mapping[str, Any] | None = None


def _make(order: _Order, directory: Path, form: "Form", force: bool, tell: Teller) -> Written:
    model = weights_of(order.whole, order.configuration)
    recovered = trained_weights(model, order.configuration, order.training, tell, order.whole)
    prepared = prepare(model, order.configuration, order.split, order.fixed, recovered, tell)
    prepared = with_gap(model, prepared, recovered, order.split)
    supernet = None if model is order.whole else str(model.path)
    return _write(model, prepared, directory, form, force, order.about, supernet)


def _write(
    model: "Model", prepared: Prepared, directory: Path, form: "Form", force: bool, about: Mapping[str, Any] | None, supernet: str | None
) -> Written:
    """Check parity with torch, then write."""
    from paredown.bundle import check_parity
    from paredown.bundle.forms import write_form
    from paredown.profilers.machine_lock import machine_share
    from paredown.profilers.size import measure_ratios, measure_size

    compressed = prepared.compressed
    with machine_share():
        check = None if form == "espnet" else check_parity(model, compressed)  # a checkpoint has no graphs
        folder = write_form(model, compressed, directory, form, force=force, about=about)
    size_bytes = measure_size(folder).size_bytes
    ratios = measure_ratios(folder, model.inference_parameters) if form == "bundle" else None
    smaller = FP32_BYTES * model.inference_parameters / size_bytes
    return Written(folder, form, size_bytes, smaller, ratios, check, prepared, supernet)
