"""Compression as `convert` and `export` do it: with calibration where the method takes it, and with the check for activation outliers."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from paredown.errors import BadInput
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.bundle.outliers import Outlier
    from paredown.compress.compress import CompressedModel
    from paredown.data import Split
    from paredown.models import Model


@dataclass(frozen=True)
class Prepared:
    """A compressed model, and the layers that fell back; None where nothing was checked, `unchecked` says why if there was cause to."""

    compressed: "CompressedModel"
    outliers: "tuple[Outlier, ...] | None" = None
    unchecked: str | None = None

    @property
    def lines(self) -> list[str]:
        """What the user is told: every layer that fell back, or that none did, or why nobody looked."""
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
        return {"outliers": None if self.outliers is None else [asdict(outlier) for outlier in self.outliers]}


def prepare(model: "Model", configuration: Configuration, split: "Split | None", fixed: str | None = None) -> Prepared:
    """Compress the model. `split`: what calibration and check listen to; `fixed`: why no layer may fall back, None where some may.

    Raises BadInput if the calibrated method or static activations have no data, or if those cannot be used.
    """
    from paredown.bundle.outliers import find_outliers, with_fallbacks
    from paredown.commands.telling import Telling
    from paredown.compress.network import compress_model
    from paredown.profilers.machine_lock import machine_share
    from paredown.trials.calibrating import calibrate_model, read_layer_rows
    from paredown.trials.decoding import Decoder
    from paredown.trials.study_run import check_split
    from paredown.trials.workshop import Workshop

    inventory = model.inventory()
    calibrated, in_int8 = configuration.is_calibrated, _is_in_int8(model, configuration)
    unchecked = fixed or "no --data" if in_int8 else None
    if split is None and calibrated:
        what = "method gptq needs" if configuration.scheme.method == "gptq" else "static activations need"
        raise BadInput(f"{what} --data DATA, utterances that the model hears while it is calibrated; got none")
    if split is None or not (calibrated or (in_int8 and fixed is None)):
        with machine_share():
            return Prepared(compress_model(model, configuration), unchecked=unchecked)
    with ExitStack() as stack:
        decoder, workshop = stack.enter_context(Decoder()), stack.enter_context(Workshop(model))
        check_split(split, workshop)
        tell = stack.enter_context(Telling())
        calibration = calibrate_model(model, split, workshop, decoder, tell) if calibrated else None
        rows = calibration.rows if calibration is not None else read_layer_rows(model, split, workshop, decoder)
    with machine_share():
        compressed = compress_model(model, configuration, calibration=calibration)
    if fixed is not None or not in_int8:
        return Prepared(compressed, unchecked=unchecked)
    outliers = find_outliers(inventory, compressed, rows)
    return Prepared(replace(compressed, configuration=with_fallbacks(configuration, outliers)), outliers)


def needs_data(model: "Model", configuration: Configuration) -> bool:
    """Whether there is something to listen to data for: codes to calibrate, or layers in int8 whose activations may have outliers."""
    return configuration.is_calibrated or _is_in_int8(model, configuration)


def _is_in_int8(model: "Model", configuration: Configuration) -> bool:
    from paredown.bundle.graphs.kernels import choose_kernels

    return "int8" in choose_kernels(model.inventory(), configuration).values()
