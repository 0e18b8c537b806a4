"""Latency of bundles per utterance, taken in a process of its own that imports nothing but the runtime.

A bundle is timed beside a reference (the uncompressed fp32 bundle), utterance by utterance in random order; features, encoder and
the whole beam search are inside, reading the audio file is not. The machine-wide lock is held meanwhile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from paredown.data import Split
from paredown.profilers.latency import Effort, Latency, measure_latency
from paredown.profilers.machine_lock import machine_lock
from paredown.trials.workers import worker_pool

if TYPE_CHECKING:
    from paredown.runtime import Translator

REFERENCE = "reference"


@dataclass(frozen=True)
class Timed:
    """A bundle and how it decodes; None takes the beam size the bundle says."""

    bundle: Path
    beam_size: int | None = None


class Stopwatch:
    """The process that times bundles; a context manager. `threads` is what onnxruntime gets."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = worker_pool(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def time(self, candidates: Mapping[str, Timed], split: Split, effort: Effort, *, fixed_tokens: int, seed: int) -> dict[str, Latency]:
        """Latency of every candidate on every utterance of `split`, free and at `fixed_tokens` tokens.

        One of the candidates is named "reference"; ratios are taken to it.
        """
        files = tuple(utterance.audio for utterance in split.utterances)
        with machine_lock():
            job = self._pool.submit(_time, dict(candidates), files, effort, fixed_tokens, seed, self.threads)
            return job.result()


@lru_cache(maxsize=8)
def _translator(timed: Timed, modified_ns: int, threads: int) -> "Translator":
    from paredown.runtime import Translator

    return Translator.from_bundle(timed.bundle, threads=threads, beam_size=timed.beam_size)


@lru_cache(maxsize=256)
def _waveform(path: Path, rate_hz: int) -> Any:
    from paredown.runtime.audio import read_audio

    return read_audio(path, rate_hz)


def _time(
    candidates: Mapping[str, Timed], files: tuple[Path, ...], effort: Effort, fixed_tokens: int, seed: int, threads: int
) -> dict[str, Latency]:
    translators = {
        name: _translator(timed, (timed.bundle / "manifest.json").stat().st_mtime_ns, threads) for name, timed in candidates.items()
    }

    def runner(name: str, tokens: int | None) -> Callable[[int], int]:
        translator = translators[name]
        waveforms = [_waveform(file, translator.features.frontend.sample_rate_hz) for file in files]
        return lambda item: len(translator.translate(waveforms[item], fixed_tokens=tokens).ids)

    free = {name: runner(name, None) for name in candidates}
    fixed = {name: runner(name, fixed_tokens) for name in candidates}
    return measure_latency(free, REFERENCE, len(files), effort, np.random.default_rng(seed), fixed)
