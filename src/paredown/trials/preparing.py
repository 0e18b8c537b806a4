"""Compression for a bundle to keep: training and calibration where the configuration takes them, and the check for activation outliers."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.training import ADAPTERS
from paredown.trials.teller import QUIET, Teller

if TYPE_CHECKING:
    from paredown.bundle.outliers import Outlier
    from paredown.compress.compress import CompressedModel
    from paredown.compress.recovered import Recovered
    from paredown.data import Split
    from paredown.models import Model
    from paredown.recover.training_data import TrainingData
    from paredown.trials.requantizing import Gap


@dataclass(frozen=True)
class Prepared:
    """A compressed model, and the layers that fell back; None where nothing was checked, `unchecked` says why if there was cause to.

    `recovered`: what its training says of itself; `gap`: what quantizing merged adapters costs.
    """

    compressed: "CompressedModel"
    outliers: "tuple[Outlier, ...] | None" = None
    unchecked: str | None = None
    recovered: Mapping[str, Any] | None = None
    gap: "Gap | None" = None

    @property
    def lines(self) -> list[str]:
        """What the user is told: how it was trained; every layer that fell back, or that none did, or why nobody looked."""
        trained = [f"recovered: {describe_recovery(self.recovered)}"] if self.recovered else []
        return [*trained, *self._gap_lines, *self._outlier_lines]

    @property
    def _gap_lines(self) -> list[str]:
        if self.gap is None and trains_adapters(self.compressed.configuration):
            return ["merged weights, quantized by the configuration: gap not measured (no --data with references)"]
        return [] if self.gap is None else [str(self.gap)]

    @property
    def _outlier_lines(self) -> list[str]:
        if self.outliers is None:
            return [f"activation outliers: not checked ({self.unchecked})"] if self.unchecked else []
        if not self.outliers:
            return ["activation outliers: none"]
        return [
            f"activation outliers: {len(self.outliers)} layers fall back to fp32",
            *(f"  {outlier}" for outlier in self.outliers),
        ]

    @property
    def figures(self) -> dict[str, Any]:
        """The same for `--json`."""
        outliers = None if self.outliers is None else [asdict(outlier) for outlier in self.outliers]
        trained = {} if self.recovered is None else {"recovered": dict(self.recovered)}
        return {"outliers": outliers, **trained, **({} if self.gap is None else {"requantization_gap": asdict(self.gap)})}


def prepare(
    model: "Model",
    configuration: Configuration,
    split: "Split | None",
    fixed: str | None = None,
    recovered: "Recovered | None" = None,
    tell: Teller = QUIET,
) -> Prepared:
    """Compress the model. `split`: what calibration and check listen to; `fixed`: why no layer may fall back, None where some may.
    `recovered`: the weights that training made, where the schedule trains; `tell` hears of calibration.

    Raises BadInput if the calibrated method or static activations have no data, or if those cannot be used.
    """
    from paredown.bundle.outliers import find_outliers, with_fallbacks
    from paredown.compress.network import compress_model
    from paredown.profilers.machine_lock import machine_share
    from paredown.trials.calibrating import calibrate_model, read_layer_rows
    from paredown.trials.decoding import Decoder
    from paredown.trials.study_run import check_split
    from paredown.trials.workshop import Workshop

    inventory = model.inventory()
    calibrated, in_int8 = configuration.is_calibrated, _is_in_int8(model, configuration)
    unchecked = fixed or "no --data" if in_int8 else None
    check_data(configuration, split)
    if split is None or not (calibrated or (in_int8 and fixed is None)):
        with machine_share():
            return Prepared(compress_model(model, configuration, recovered=recovered), unchecked=unchecked)
    with ExitStack() as stack:
        decoder, workshop = stack.enter_context(Decoder()), stack.enter_context(Workshop(model))
        check_split(split, workshop)
        calibration = calibrate_model(model, split, workshop, decoder, tell) if calibrated else None
        rows = calibration.rows if calibration is not None else read_layer_rows(model, split, workshop, decoder)
    with machine_share():
        compressed = compress_model(model, configuration, calibration=calibration, recovered=recovered)
    if fixed is not None or not in_int8:
        return Prepared(compressed, unchecked=unchecked)
    outliers = find_outliers(inventory, compressed, rows)
    return Prepared(replace(compressed, configuration=with_fallbacks(configuration, outliers)), outliers)


def check_data(configuration: Configuration, split: "Split | None") -> None:
    """Raises BadInput if there is nothing to calibrate on where something is calibrated."""
    if split is None and configuration.is_calibrated:
        what = "method gptq needs" if configuration.scheme.method == "gptq" else "static activations need"
        raise BadInput(f"{what} --data DATA, utterances that the model hears while it is calibrated; got none")


def describe_recovery(about: Mapping[str, Any]) -> str:
    """One line of what a training stage says of itself: plain figures by name."""
    plain = {name: value for name, value in about.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in plain.items())


def check_use(model: "Model", configuration: Configuration, data: str) -> None:
    """Raises BadInput for data that nothing would listen to."""
    from paredown.trials.supernets import weights_of

    if not needs_data(weights_of(model, configuration), configuration):
        what = "--method gptq and for layers in int8, checked for outliers, and for adapters"
        raise BadInput(f"--data is for {what}; got {data} for none of them")


def needs_data(model: "Model", configuration: Configuration) -> bool:
    """Whether there is something to listen to data for: codes to calibrate, layers in int8 whose activations may have outliers, adapters
    whose merged weights are quantized.
    """
    return configuration.is_calibrated or _is_in_int8(model, configuration) or trains_adapters(configuration)


def _is_in_int8(model: "Model", configuration: Configuration) -> bool:
    from paredown.bundle.graphs.kernels import choose_kernels

    return "int8" in choose_kernels(model.inventory(), configuration).values()


def trained_weights(
    model: "Model", configuration: Configuration, data: "TrainingData | None", tell: "Teller", teacher: "Model | None" = None
) -> "Recovered | None":
    """What training makes of the model, from the cache or trained now, None where the schedule trains nothing. Raises BadInput.

    `teacher`: the uncompressed model, where `model` is a supernet of it.
    """
    from paredown.trials.recoveries import Recovery, recover

    return recover(model, configuration, Recovery(data, tell), teacher) if configuration.is_recovered else None


def trains_adapters(configuration: Configuration) -> bool:
    """Whether adapters are merged and then stored as codes, which makes another model, so that the gap is to be told."""
    return bool(configuration.bits) and bool(configuration.trainings) and configuration.trainings[-1].kind in ADAPTERS


def with_gap(model: "Model", prepared: "Prepared", recovered: "Recovered | None", split: "Split | None") -> "Prepared":
    """The same with lines on what was trained: of adapters also what quantizing the merged weights costs, where `split` can tell: one
    with references for every utterance.
    """
    from paredown.trials.requantizing import requantization_gap

    if recovered is None:
        return prepared
    gap = None
    if trains_adapters(prepared.compressed.configuration) and split is not None and split.has_references(model.task):
        gap = requantization_gap(model, prepared.compressed, recovered, split)
    return replace(prepared, recovered=dict(recovered.about), gap=gap)
