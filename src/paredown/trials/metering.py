"""Energy of bundles per utterance, in the process that times them: whole passes of a candidate, window by window beside the reference's."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paredown.data import Split
from paredown.profilers.energy.base import EnergySource
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.interleaved import measure_energy
from paredown.profilers.energy.probe import open_source
from paredown.profilers.energy.protocol import Protocol
from paredown.profilers.pinning import pinned
from paredown.trials.timing import REFERENCE, Device, Stopwatch, Timed, runner

if TYPE_CHECKING:
    from paredown.profilers.latency.warmup import Run


@dataclass(frozen=True)
class EnergyRequest:
    """How energy shall be counted. `source`: see `profilers.energy.probe`; None takes the usual one of `target`.

    `tdp_w`, `tdp_cores`: design power and physical cores of one processor package, for the source "estimate".
    """

    target: str = "cpu"
    source: str | None = None
    tdp_w: float | None = None
    tdp_cores: int | None = None

    def open(self) -> EnergySource:
        """The source, to be closed. Raises BadInput, with what to do about it, where this machine does not have it."""
        target = "machine" if self.source == "battery" else self.target
        return open_source(target, self.source, tdp_w=self.tdp_w, tdp_cores=self.tdp_cores)

    def check(self) -> str:
        """Name and method of the source: what two figures must share to be compared. Raises BadInput as `open`."""
        with closing(self.open()) as source:
            return f"{source.name}: {source.method}"


def meter(
    stopwatch: Stopwatch, candidates: Mapping[str, Timed], split: Split, request: EnergyRequest, protocol: Protocol, *, seed: int
) -> dict[str, Energy]:
    """Energy of every candidate on the utterances of `split`; one of them is named "reference". The machine is held meanwhile.

    Raises BadInput where the source cannot be opened. What a source refuses in the middle stands in the result, with its reason.
    """
    files = tuple(utterance.audio for utterance in split.utterances)
    return stopwatch.alone(_meter, dict(candidates), files, request, protocol, seed, stopwatch.device)


def _meter(
    candidates: Mapping[str, Timed], files: tuple[Path, ...], request: EnergyRequest, protocol: Protocol, seed: int, device: Device
) -> dict[str, Energy]:
    runs: dict[str, Run] = {}
    seconds: tuple[float, ...] = ()
    with closing(request.open()) as source, pinned(device.threads):
        for name, timed in candidates.items():
            runs[name], seconds = runner(timed, files, device)
        return measure_energy(runs, REFERENCE, len(files), seconds, source, protocol, np.random.default_rng(seed))
