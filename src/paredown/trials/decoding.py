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

import numpy as np

from paredown.data import Split
from paredown.profilers.machine_lock import check_free, machine_share
from paredown.trials.forced_loss import Items, Losses, force
from paredown.trials.shared_encoding import EncoderTail, keep_states, states_file
from paredown.trials.workers import Workers

if TYPE_CHECKING:
    from paredown.runtime import Translation, Translator

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
        self._processes = Workers(self.workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._processes.close(now=kind is not None)

    def warm_up(self) -> None:
        """Starts the processes now, while something else is prepared."""
        for _ in range(self.workers):
            self._processes.submit(_warm_up)

    def decode(self, bundle: Path, split: Split, search: Search | None = None, states: Path | None = None) -> tuple[Hypothesis, ...]:
        """Hypotheses in the order of the split. Raises BadInput if an audio file cannot be read.

        Each utterance shares the machine, so that workers rest while something is measured. `states`: folder of what this bundle's encoder
        gave before, for other decoders, and keeps there (see `shared_encoding`).
        """
        check_free()
        order = sorted(range(len(split)), key=lambda index: -split.utterances[index].audio.stat().st_size)
        chunks = [order[start :: self.workers * CHUNKS_PER_WORKER] for start in range(self.workers * CHUNKS_PER_WORKER)]
        chunks = [chunk for chunk in chunks if chunk]
        jobs = [(bundle, [split.utterances[index].audio for index in chunk], search or Search(), states) for chunk in chunks]
        found: dict[int, Hypothesis] = {}
        for chunk, hypotheses in zip(chunks, self._processes.map(_decode, jobs), strict=True):
            found.update(zip(chunk, hypotheses, strict=True))
        return tuple(found[index] for index in range(len(split)))

    def force(self, bundle: Path, items: Items) -> Losses:
        """Teacher-forced loss of the bundle on every item; its search must take a decoder."""
        check_free()
        parts = [items[start :: self.workers] for start in range(self.workers)]
        found = self._processes.map(_force, [(bundle, part) for part in parts if part])
        losses = {item: loss for part, some in zip(parts, found, strict=False) for item, loss in zip(part, some, strict=True)}
        return tuple(losses[item] for item in items)


def _warm_up() -> None:
    """Takes what every job imports."""
    import paredown.runtime  # noqa: F401


@lru_cache(maxsize=2)
def _translator(bundle: Path, modified_ns: int, search: Search) -> "Translator":
    from paredown.runtime import Translator

    return Translator.from_bundle(bundle, threads=1, beam_size=search.beam_size, maxlenratio=search.maxlenratio)


def _force(bundle: Path, items: Items) -> list[tuple[float, int]]:
    with machine_share():
        translator = _translator(bundle, (bundle / "manifest.json").stat().st_mtime_ns, Search())
    found = []
    for audio, ids in items:
        with machine_share():
            found.append(force(translator, translator.encode(audio), ids))
    return found


@lru_cache(maxsize=2)
def _tail(bundle: Path, modified_ns: int) -> EncoderTail:
    return EncoderTail(bundle)


def _decode(bundle: Path, files: Sequence[Path], search: Search, states: Path | None = None) -> list[Hypothesis]:
    modified_ns = (bundle / "manifest.json").stat().st_mtime_ns
    with machine_share():
        translator = _translator(bundle, modified_ns, search)
    found = []
    for file in files:
        with machine_share():
            if states is None:
                result = translator.translate(file, nbest=search.nbest)
            else:
                result = _by_states(translator, bundle, file, search, states)
        others = tuple(other.ids for other in result.alternatives)
        found.append(Hypothesis(result.text, tuple(result.ids), result.hit_cap, others))
    return found


def _by_states(translator: "Translator", bundle: Path, file: Path, search: Search, states: Path) -> "Translation":
    """From the states where they are there; otherwise they are there afterwards."""
    path = states_file(states, file)
    if path.exists():
        tail = _tail(bundle, (bundle / "manifest.json").stat().st_mtime_ns)
        encoded = tail.encode(translator, np.load(path))
    else:
        encoded = translator.encode(file)
        keep_states(path, encoded)
    return translator.translate_encoded(encoded, search.nbest)
