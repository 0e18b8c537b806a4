"""Latency of bundles per utterance, taken in a process of its own that imports nothing but the runtime.

A bundle is timed beside a reference (the uncompressed fp32 bundle), utterance by utterance in random order; features, encoder and
the whole beam search are inside, reading the audio file is not. The process is pinned to as many cores as it has threads, and the
machine-wide lock is held meanwhile.

On a GPU the clock is read when the work is done. onnxruntime synchronizes its stream at the end of every run (its run option
`disable_synchronize_execution_providers` is never set), and a translation ends with token ids in Python, which depend on scores that
`Graph.run` has fetched to the CPU in every step, the last one included.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from paredown.data import Split
from paredown.profilers.latency import Effort, Latency
from paredown.profilers.latency.session import Load, Loaded, Subject, measure_latency
from paredown.profilers.latency.warmup import Run
from paredown.profilers.machine_lock import machine_lock
from paredown.profilers.pinning import pinned
from paredown.profilers.placement import scattered
from paredown.trials.stages import STAGES, stages_of
from paredown.trials.workers import Workers

if TYPE_CHECKING:
    from paredown.runtime import Translator
    from paredown.runtime.session import Target
    from paredown.runtime.translation import Timings

REFERENCE = "reference"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed:
    """A bundle and how it decodes; None takes the beam size the bundle says."""

    bundle: Path
    beam_size: int | None = None


@dataclass(frozen=True)
class Device:
    """Where bundles run: `threads` is what onnxruntime gets on the CPU."""

    threads: int
    target: "Target" = "cpu"


class Stopwatch:
    """The process that times bundles; a context manager. `threads` is what onnxruntime gets on the CPU, `target` where it runs."""

    def __init__(self, threads: int, target: "Target" = "cpu") -> None:
        self.device = Device(threads, target)
        self._workers = Workers(1)

    @property
    def threads(self) -> int:
        return self.device.threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._workers.close(now=kind is not None)

    def time(
        self, candidates: Mapping[str, Timed], split: Split, effort: Effort, *, fixed_tokens: int | None, seed: int
    ) -> dict[str, Latency]:
        """Latency of every candidate on every utterance of `split`, free and at `fixed_tokens` tokens (None: free alone).

        One of the candidates is named "reference"; ratios are taken to it. Each has loads of its own, also where two are the same bundle.
        """
        files = tuple(utterance.audio for utterance in split.utterances)
        return self.alone(_time, dict(candidates), files, effort, fixed_tokens, seed, self.device)

    def alone(self, job: Callable[..., Result], *arguments: Any) -> Result:
        """What `job` gives in the timing process, which has the machine to itself meanwhile.

        A job whose process was killed is repeated once, in a fresh one; then WorkerDied is raised. Ctrl-C ends the process.
        """
        with machine_lock():
            return self._workers.run(job, *arguments)


def runner(timed: Timed, files: tuple[Path, ...], device: Device, fixed_tokens: int | None = None) -> tuple[Run, tuple[float, ...]]:
    """The bundle, loaded, as a function that translates file `i` and returns the tokens decoded; and seconds of audio of every file.

    The audio is read now. The bundle is loaded anew at every call. Raises BadInput for a bundle, a file or a target that cannot be used.
    """
    translator = _translator(timed, device)
    return _Bound(translator, files, fixed_tokens), _seconds(files, translator.features.frontend.sample_rate_hz)


def audio_seconds(timed: Timed, files: tuple[Path, ...]) -> tuple[float, ...]:
    """Seconds of audio of every file, at the bundle's sample rate."""
    return _seconds(files, _rate_hz(timed))


def _time(
    candidates: Mapping[str, Timed], files: tuple[Path, ...], effort: Effort, fixed_tokens: int | None, seed: int, device: Device
) -> dict[str, Latency]:
    rng = np.random.default_rng(seed)

    def load(name: str) -> Loaded:
        # What is not loaded anew between blocks may stay for the next measurement: the reference of a study is timed with every trial.
        timed = candidates[name]
        if effort.loads > 1:
            with scattered(rng):
                translator = _translator(timed, device)
        else:
            translator = _kept(name, timed, device, _version(timed))
        free, fixed = _Bound(translator, files), None if fixed_tokens is None else _Bound(translator, files, fixed_tokens)
        return Loaded(free, fixed, free.stages)

    loads: dict[str, Load] = {name: partial(load, name) for name in candidates}
    with pinned(device.threads) as cores:
        seconds = _seconds(files, _rate_hz(next(iter(candidates.values()))))
        subject = Subject(loads, REFERENCE, len(files), seconds, fixed_tokens)
        return measure_latency(subject, effort, rng, cores=cores)


def _translator(timed: Timed, device: Device) -> "Translator":
    from paredown.runtime import Translator

    return Translator.from_bundle(timed.bundle, threads=device.threads, target=device.target, beam_size=timed.beam_size)


@lru_cache(maxsize=3)  # the reference, a candidate and its predecessor, which goes first; with two the reference would go now and then
def _kept(name: str, timed: Timed, device: Device, version: int) -> "Translator":
    """A translator for each name, so that two candidates of one bundle are two loads."""
    return _translator(timed, device)


def _version(timed: Timed) -> int:
    return (timed.bundle / "manifest.json").stat().st_mtime_ns


def _rate_hz(timed: Timed) -> int:
    from paredown.runtime.bundle_files import FRONTEND
    from paredown.runtime.features import read_frontend

    return read_frontend(timed.bundle / FRONTEND).sample_rate_hz


class _Bound:
    """Translates file `i` of some that are in memory, and returns the tokens decoded."""

    def __init__(self, translator: "Translator", files: tuple[Path, ...], fixed_tokens: int | None = None) -> None:
        self._translator, self._fixed_tokens = translator, fixed_tokens
        self._waveforms = [_waveform(file, translator.features.frontend.sample_rate_hz) for file in files]
        self._took: Timings | None = None

    def __call__(self, item: int) -> int:
        translation = self._translator.translate(self._waveforms[item], fixed_tokens=self._fixed_tokens)
        self._took = translation.timings
        return len(translation.ids)

    def stages(self) -> dict[str, float]:
        """Milliseconds of the stages of the last translation."""
        assert self._took is not None  # it is asked behind a run
        return dict(zip(STAGES, stages_of(self._took), strict=True))


def _seconds(files: tuple[Path, ...], rate_hz: int) -> tuple[float, ...]:
    return tuple(len(_waveform(file, rate_hz)) / rate_hz for file in files)


@lru_cache(maxsize=256)
def _waveform(path: Path, rate_hz: int) -> Any:
    from paredown.runtime.audio import read_audio

    return read_audio(path, rate_hz)
