"""Reading the synthesised train corpus while it is still being made: completed shards, memory-mapped."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studies.bundled_model.partition import load_partition

RATE_HZ = 16_000


@dataclass(frozen=True)
class _Segment:
    shard: int
    offset: int
    samples: int
    pair_ids: tuple[int, ...]
    voice: str


class SegmentStore:
    """The segments of the completed shards in `cache_dir`, in order; an index once valid stays valid, in later processes too.

    A shard shows when all before it are complete. Segments whose sentence is not in train (a cache older than the partition) are
    passed over.
    """

    def __init__(self, cache_dir: str | Path) -> None:
        self._cache = Path(cache_dir)
        self._audio: list[NDArray[np.int16]] = []
        self._segments: list[_Segment] = []
        self._sentences = {sentence.pair_ids: sentence for sentence in load_partition().train}
        self.refresh()

    def refresh(self) -> int:
        """Picks up shards completed since the last look; returns the number of segments now readable."""
        while (index := self._cache / f"shard-{len(self._audio):04d}.json").exists():
            rows = json.loads(index.read_text())
            found = [_Segment(len(self._audio), r["offset"], r["samples"], tuple(r["pairs"]), r["voice"]) for r in rows]
            self._segments += [segment for segment in found if segment.pair_ids in self._sentences]
            self._audio.append(np.load(index.with_suffix(".npy"), mmap_mode="r"))
        return len(self._segments)

    def __len__(self) -> int:
        return len(self._segments)

    def segment(self, index: int) -> tuple[NDArray[np.int16], tuple[int, ...]]:
        """The waveform, int16 [samples] at 16 kHz (a view of the file: copy before changing), and the ids of its pairs."""
        found = self._segments[index]
        return self._audio[found.shard][found.offset : found.offset + found.samples], found.pair_ids

    def texts(self, index: int) -> tuple[str, tuple[str, ...]]:
        """The English line and all its German lines."""
        sentence = self._sentences[self._segments[index].pair_ids]
        return sentence.english, sentence.germans

    def duration_s(self, index: int) -> float:
        """Length of the segment in seconds."""
        return self._segments[index].samples / RATE_HZ

    def voice(self, index: int) -> str:
        """The printed voice, as `voices.parse_voice` reads it."""
        return self._segments[index].voice
