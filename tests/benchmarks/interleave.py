"""Times candidates next to each other, in random order, each as if it had the machine to itself.

Two things would favour one candidate over another. Threads that wait for work by spinning (those of onnxruntime, of OpenMP and of NumPy's
BLAS) take a core from whoever runs next, so before every run all threads of this process are waited for until they rest. And whoever ran
last has the caches, so every timed run follows a short one of the same candidate. What is left of both `time_alone` tells.
"""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.profilers.bootstrap import median_interval
from tests.benchmarks.candidates import Candidate, Decoded

Doubles = NDArray[np.float64]
STAGES = ("features_ms", "encoder_ms", "search_ms", "total_ms")
_SLICE_S, _BUSY_SHARE, _PATIENCE_S = 0.01, 0.2, 1.0
_PRELUDE_TOKENS = 2


@dataclass(frozen=True)
class Timed:
    """Milliseconds [items, repeats] of every stage and of all of them, and the ids that each item gave."""

    samples: Mapping[str, Doubles]
    ids: tuple[tuple[int, ...], ...]

    def median_ms(self, stage: str = "total_ms") -> float:
        return float(np.median(self.samples[stage]))


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 1 if self.value >= 10 else 2 if self.value >= 0.5 else 3
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def ratio(numerator: Doubles, denominator: Doubles) -> Ratio:
    """Of samples [items, repeats] taken next to each other."""
    ratios = numerator / denominator
    return Ratio(float(np.median(ratios)), *median_interval(ratios, np.random.default_rng(0)))


def settle() -> None:
    """Wait until the threads of this process have stopped spinning."""
    deadline = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < deadline:
        before = time.process_time()
        time.sleep(_SLICE_S)
        if time.process_time() - before < _BUSY_SHARE * _SLICE_S:
            return


def time_interleaved(
    candidates: Mapping[str, Candidate], waveforms: Sequence[Any], tokens: int | None, repeats: int, rng: np.random.Generator
) -> dict[str, Timed]:
    """Every candidate on every waveform, `repeats` times, in a new random order each time."""
    names = list(candidates)
    found: dict[str, list[list[Decoded]]] = {name: [[] for _ in waveforms] for name in names}
    with _no_collection():
        for _ in range(repeats):
            for item in rng.permutation(len(waveforms)).tolist():
                for which in rng.permutation(len(names)).tolist():
                    found[names[which]][item].append(_run_once(candidates[names[which]], waveforms[item], tokens))
    return {name: _collect(runs) for name, runs in found.items()}


def time_alone(candidate: Candidate, waveform: Any, tokens: int, repeats: int, rested: bool) -> Timed:
    """One candidate again and again with nothing else between its runs; `rested`: its own threads have stopped spinning before each."""
    runs = []
    candidate.decode(waveform, tokens)
    with _no_collection():
        for _ in range(repeats):
            if rested:
                settle()
            runs.append(candidate.decode(waveform, tokens))
    return _collect([runs])


def _run_once(candidate: Candidate, waveform: Any, tokens: int | None) -> Decoded:
    settle()
    candidate.decode(waveform, _PRELUDE_TOKENS)
    settle()
    return candidate.decode(waveform, tokens)


def _collect(runs: Sequence[Sequence[Decoded]]) -> Timed:
    samples = {stage: np.array([[getattr(run, stage) for run in item] for item in runs]) for stage in STAGES}
    return Timed(samples, tuple(item[0].ids for item in runs))


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection inside a timed run."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
