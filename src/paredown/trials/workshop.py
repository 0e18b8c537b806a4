"""Bundles of one model, built from configurations and kept by their digest for as long as the workshop is open."""

import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from paredown.profilers.machine_lock import machine_share
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.bundle.forecast import BundleForecast, Forecast
    from paredown.compress.calibration import Calibration
    from paredown.models import Model


_PREFIX = "paredown-workshop-"


def _sweep() -> None:
    """Remove what processes left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


class Workshop:
    """A temporary folder of bundles; a context manager.

    Quantized layers are shared between builds, so that a configuration that differs in a few layers is built in a moment.
    `calibration` is what the calibrated method takes, None until it is set.
    """

    def __init__(self, model: "Model") -> None:
        _sweep()
        self.model = model
        self.calibration: Calibration | None = None
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._memo: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def build(self, configuration: Configuration) -> Path:
        """Folder of the bundle that `configuration` describes; valid until the workshop closes or `discard` is called."""
        from paredown.bundle import write_bundle
        from paredown.compress.network import compress_model

        folder = self.folder / configuration.digest[:16]
        if folder.exists():
            return folder
        with machine_share():
            write_bundle(self.model, compress_model(self.model, configuration, self._memo, self.calibration), folder)
        return folder

    def foretell(self, configuration: Configuration) -> "BundleForecast":
        """The bundle's bytes, file by file and exactly, without building it. Raises BadInput as `build`."""
        from paredown.compress.compress import CalibratedOn

        heard = None if self.calibration is None else CalibratedOn(self.calibration.digest, self.calibration.utterances)
        return self._forecast.foretell(configuration, heard)

    @cached_property
    def _forecast(self) -> "Forecast":
        from paredown.bundle.forecast import Forecast

        return Forecast(self.model)

    def discard(self, configuration: Configuration) -> None:
        """Remove the bundle of `configuration`, if it was built."""
        shutil.rmtree(self.folder / configuration.digest[:16], ignore_errors=True)
