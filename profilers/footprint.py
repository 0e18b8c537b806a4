"""Memory and load time of a fresh process: several processes one after another, each of which loads once, decodes once and ends.

A process that has loaded before holds memory of that, and finds libraries and kernels warm; so each figure has a process of its own.
Files are read from the system's cache: a process goes before those that count.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from paredown.errors import BadInput
from paredown.profilers.bootstrap import median_interval
from paredown.profilers.measurement import Measurement

BAD_INPUT = 2  # exit code of a process that refuses what it was given, in one line
_NO_PEAK = "the peak memory of a process is read from /proc/self/status (VmHWM), which this system does not have"


@dataclass(frozen=True)
class FreshRun:
    """What one process took: `load_ms` without imports; `imported_bytes` resident behind the imports and `peak_rss_bytes` at most in all.

    The two are None where the system does not tell.
    """

    load_ms: float
    imported_bytes: int | None
    peak_rss_bytes: int | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From what the process printed."""
        return cls(told["load_ms"], told["imported_bytes"], told["peak_rss_bytes"])


@dataclass(frozen=True)
class Footprint:
    """What a bundle takes in a process of its own; lower is better.

    `load_ci95_ms`: interval of the median of the load times. `stored_parameters`: numbers in the bundle, pruned ones included;
    `model_parameters`: those of the uncompressed model. `target`: digest of the fingerprint of the machine.
    """

    runs: tuple[FreshRun, ...]
    load_ci95_ms: tuple[float, float]
    stored_parameters: int
    model_parameters: int
    target: str

    @classmethod
    def of(cls, runs: Sequence[FreshRun], parameters: Mapping[str, int], target: str, rng: np.random.Generator) -> Self:
        """`parameters`: those `stored` and those of the `model`. Raises ValueError on no run."""
        if not runs:
            raise ValueError("a footprint needs at least 1 process, got 0")
        interval = median_interval(np.array([[run.load_ms] for run in runs]), rng)
        return cls(tuple(runs), interval, parameters["stored"], parameters["model"], target)

    @property
    def load_median_ms(self) -> float:
        return float(np.median([run.load_ms for run in self.runs]))

    @property
    def peak_rss_bytes(self) -> int | None:
        """The largest of all processes."""
        return _largest([run.peak_rss_bytes for run in self.runs])

    @property
    def imported_bytes(self) -> int | None:
        """The largest of all processes."""
        return _largest([run.imported_bytes for run in self.runs])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the stable keys."""
        return {
            "peak_rss_bytes": self.peak_rss_bytes,
            "load_ms": {"median": self.load_median_ms, "ci95": list(self.load_ci95_ms), "runs": len(self.runs)},
            "imported_bytes": self.imported_bytes,
            "params": {"stored": self.stored_parameters, "model": self.model_parameters},
        }

    def to_measurements(self) -> dict[str, Measurement]:
        """`peak_rss_bytes` and `load_ms` with their units; the peak is unavailable where the system does not tell."""
        load = Measurement(self.load_median_ms, "ms", self.load_ci95_ms, len(self.runs), target=self.target)
        peak, imported = self.peak_rss_bytes, self.imported_bytes
        if peak is None:
            return {"peak_rss_bytes": Measurement.unavailable("bytes", _NO_PEAK, self.target), "load_ms": load}
        detail = (("imported_bytes", imported),)
        return {"peak_rss_bytes": Measurement(peak, "bytes", samples=len(self.runs), detail=detail, target=self.target), "load_ms": load}


def run_fresh(command: Sequence[str], env: Mapping[str, str]) -> Mapping[str, Any]:
    """What a new process prints on its last line, a JSON object with the fields of `FreshRun`.

    Raises BadInput with its last words where it ends with `BAD_INPUT`, RuntimeError with them where it fails in another way.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(env))
    if done.returncode:
        last = (done.stderr.strip() or f"no output, exit code {done.returncode}").splitlines()[-1]
        raise BadInput(last) if done.returncode == BAD_INPUT else RuntimeError(last)
    told: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _largest(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
