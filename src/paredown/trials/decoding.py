"""Hypotheses of a bundle on a split: the bundle itself runs, utterance by utterance, in worker processes of one thread each.

One utterance a call, because int8 activations share one scale per call: a batch would change the result. The processes are
started fresh (spawn) and import nothing but the runtime, so a worker is small and holds no torch.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paredown.data import Split
from paredown.profilers.machine_lock import check_free, machine_share
from paredown.trials.workers import worker_pool

if TYPE_CHECKING:
    from paredown.runtime import Translator

CHUNKS_PER_WORKER = 4


@dataclass(frozen=True)
class Hypothesis:
    """Text of one utterance, the tokens decoded for it, whether the length cap cut it off, and tokens of the next best hypotheses."""

    text: str
    ids: tuple[int, ...]
    hit_cap: bool
    alternatives: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Search:
    """How to decode; None takes what the bundle says. `nbest`: how many hypotheses to give."""

    beam_size: int | None = None
    maxlenratio: float = 0.0
    nbest: int = 1


class Decoder:
    """Worker processes that decode splits; a context manager, `workers` processes wide (default: one for each core)."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool = worker_pool(self.workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def decode(self, bundle: Path, split: Split, search: Search | None = None) -> tuple[Hypothesis, ...]:
        """Hypotheses in the order of the split. Raises BadInput if an audio file cannot be read.

        Each utterance shares the machine, so that workers rest while something is measured.
        """
        check_free()
        order = sorted(range(len(split)), key=lambda index: -split.utterances[index].audio.stat().st_size)
        chunks = [order[start :: self.workers * CHUNKS_PER_WORKER] for start in range(self.workers * CHUNKS_PER_WORKER)]
        jobs = [
            (chunk, self._pool.submit(_decode, bundle, [split.utterances[index].audio for index in chunk], search or Search()))
            for chunk in chunks
            if chunk
        ]
        found: dict[int, Hypothesis] = {}
        for chunk, job in jobs:
            found.update(zip(chunk, job.result(), strict=True))
        return tuple(found[index] for index in range(len(split)))


@lru_cache(maxsize=2)
def _translator(bundle: Path, modified_ns: int, search: Search) -> "Translator":
    from paredown.runtime import Translator

    return Translator.from_bundle(bundle, threads=1, beam_size=search.beam_size, maxlenratio=search.maxlenratio)


def _decode(bundle: Path, files: Sequence[Path], search: Search) -> list[Hypothesis]:
    with machine_share():
        translator = _translator(bundle, (bundle / "manifest.json").stat().st_mtime_ns, search)
    return [_decode_one(translator, file, search.nbest) for file in files]


def _decode_one(translator: "Translator", file: Path, nbest: int) -> Hypothesis:
    with machine_share():
        result = translator.translate(file, nbest=nbest)
    return Hypothesis(result.text, tuple(result.ids), result.hit_cap, tuple(other.ids for other in result.alternatives))
