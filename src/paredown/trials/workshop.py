"""Bundles of one model, built from configurations and kept by their digest for as long as the workshop is open."""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from paredown.profilers.machine_lock import machine_share
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.bundle.forecast import BundleForecast, Forecast
    from paredown.compress.calibration import Calibration
    from paredown.models import Model
    from paredown.trials.recoveries import Recovery


_PREFIX = "paredown-workshop-"


def _sweep() -> None:
    """Remove what processes left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


class Workshop:
    """A temporary folder of bundles; a context manager.

    Quantized layers are shared between builds, so that a configuration that differs in a few layers is built in a moment. A configuration
    of a supernet is built from the supernet's weights (see `paredown.trials.supernets`).
    `calibration` is what the calibrated method takes, None until it is set; `calibration_of` holds that of supernets, by their digest.
    `recovery`: what training stages take; without it, configurations that were trained before can be built.
    """

    def __init__(self, model: "Model", recovery: "Recovery | None" = None) -> None:
        _sweep()
        self.model = model
        self.recovery = recovery
        self.calibration: Calibration | None = None
        self.calibration_of: dict[str, Calibration] = {}
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._models: dict[str, Model] = {model.digest: model}
        self._memos: dict[str, dict[Any, Any]] = {}
        self._forecasts: dict[str, Forecast] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def build(self, configuration: Configuration) -> Path:
        """Folder of the bundle that `configuration` describes; valid until the workshop closes or `discard` is called.

        Trains first what its schedule trains, unless that was done before. Raises BadInput if the model, or the supernet or recovery that
        the configuration names, cannot be compressed so.
        """
        from paredown.bundle import write_bundle
        from paredown.compress.network import compress_model
        from paredown.trials.recoveries import recover

        folder = self.folder / configuration.digest[:16]
        if folder.exists():
            return folder
        model = self.weights_of(configuration)
        recovered = recover(model, configuration, self.recovery, self.model)
        memo = self._memos.setdefault(model.digest, {}) if recovered is None else {}  # codes of other weights are other codes
        with machine_share():
            write_bundle(model, compress_model(model, configuration, memo, self._calibration(model), recovered), folder)
        return folder

    def train(self, configuration: Configuration) -> None:
        """Has other machines train what a schedule trains, if they do; several threads may wait for that at once. Raises as `build`."""
        from paredown.trials.recoveries import recover

        if self.recovery is not None and self.recovery.elsewhere is not None and configuration.trainings:
            recover(self.weights_of(configuration), configuration, self.recovery, self.model)

    def foretell(self, configuration: Configuration) -> "BundleForecast":
        """The bundle's bytes, file by file, without building it: exactly, unless training moves what pruning takes from a layer.

        Raises BadInput as `build`.
        """
        from paredown.compress.compress import CalibratedOn

        model = self.weights_of(configuration)
        calibration = self._calibration(model)
        heard = None if calibration is None else CalibratedOn(calibration.digest, calibration.utterances)
        return self._forecast(model).foretell(configuration, heard)

    def count_survivors(self, configuration: Configuration) -> dict[str, int]:
        """Of every layer of the compressed model that is pruned, by its path, how many weights stay. Raises BadInput as `build`."""
        survivors = self._forecast(self.weights_of(configuration)).count_survivors(configuration)
        return {name.removesuffix(".weight"): left for name, left in survivors.items()}

    def weights_of(self, configuration: Configuration) -> "Model":
        """The model whose weights the configuration takes: the workshop's own, or a supernet. Raises BadInput if that is not at hand."""
        from paredown.trials.supernets import weights_of

        digest = configuration.supernet or self.model.digest
        if digest not in self._models:
            self._models[digest] = weights_of(self.model, configuration)
        return self._models[digest]

    def calibration_digest(self, configuration: Configuration) -> str | None:
        """What the calibrated method hears for this configuration, None where it is not calibrated."""
        heard = self._calibration(self.weights_of(configuration)) if configuration.is_calibrated else None
        return None if heard is None else heard.digest

    def _calibration(self, model: "Model") -> "Calibration | None":
        return self.calibration if model is self.model else self.calibration_of.get(model.digest)

    def _forecast(self, model: "Model") -> "Forecast":
        from paredown.bundle.forecast import Forecast

        if model.digest not in self._forecasts:
            self._forecasts[model.digest] = Forecast(model)
        return self._forecasts[model.digest]

    def discard(self, configuration: Configuration) -> None:
        """Remove the bundle of `configuration`, if it was built."""
        shutil.rmtree(self.folder / configuration.digest[:16], ignore_errors=True)
