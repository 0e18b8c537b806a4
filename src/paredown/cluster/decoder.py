"""Hypotheses of a bundle on a split, decoded wherever the cluster has a free core; utterance by utterance, as `trials.decoding` does."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from paredown.cluster.dispatch import Dispatch, Job
from paredown.cluster.nodes import ANYWHERE
from paredown.data import Split
from paredown.profilers.machine_lock import check_free
from paredown.trials.decoding import CHUNKS_PER_WORKER, Hypothesis, Search, _decode


class RayDecoder:
    """As `Decoder`, and shared by the threads of several trials: each takes as many tasks as leave room for the others."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._lock = threading.Lock()
        self._busy = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The cluster is closed by whoever connected to it."""

    @property
    def workers(self) -> int:
        """Cores that decode, now."""
        return max(1, sum(int(node.has("CPU")) for node in ANYWHERE.nodes()))

    def decode(self, bundle: Path, split: Split, search: Search | None = None) -> tuple[Hypothesis, ...]:
        """Hypotheses in the order of the split. Raises BadInput if an audio file cannot be read, or if no node decodes."""
        check_free()
        with self._lock:
            self._busy += 1
        try:
            return self._decode(bundle, split, search or Search())
        finally:
            with self._lock:
                self._busy -= 1

    def _decode(self, bundle: Path, split: Split, search: Search) -> tuple[Hypothesis, ...]:
        order = sorted(range(len(split)), key=lambda index: -split.utterances[index].audio.stat().st_size)
        count = CHUNKS_PER_WORKER * max(1, self.workers // self._busy)  # each loads the bundle: no more than keep the cores busy
        chunks = [chunk for chunk in (order[start::count] for start in range(count)) if chunk]
        jobs = [Job(_decode, (bundle, [split.utterances[index].audio for index in chunk], search)) for chunk in chunks]
        found: dict[int, Hypothesis] = {}
        for chunk, answer in zip(chunks, self._dispatch.run(jobs, ANYWHERE), strict=True):
            found.update(zip(chunk, answer.value, strict=True))
        return tuple(found[index] for index in range(len(split)))
