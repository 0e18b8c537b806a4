"""The most likely tokens of a teacher, at every position of every target: in a batch, and on disk as memory-mapped arrays.

On disk, in a folder, with the positions of all targets one after the other, each target's len + 1 (the last predicts eos):

    ids.npy     [positions, k]  int16 or int32, -1 where the teacher could not hear the utterance
    logs.npy    [positions, k]  float16, natural logarithms of probabilities, most likely first
    heard.npy   [heard]         what the teacher's source CTC spells greedily, one target after the other
    ends.npy    [targets, 2]    where each target ends in `ids` and in `heard`
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NONE = -1


@dataclass(frozen=True)
class TopK:
    """Of a batch: `ids` [utterances, length + 1, k] (int64) and `logs` (float32, log-probabilities) of the same shape.

    Beyond a target ids are -1 and logs 0; a target without a teacher has ids of -1 everywhere.
    """

    ids: Tensor
    logs: Tensor

    def to(self, device: torch.device) -> "TopK":
        """The same on another device."""
        return TopK(self.ids.to(device, non_blocking=True), self.logs.to(device, non_blocking=True))


@dataclass(frozen=True, eq=False)
class Posteriors:
    """What a folder holds, or several one after the other (`join`): the targets are numbered through."""

    parts: tuple["_Part", ...]

    @classmethod
    def load(cls, folder: Path, targets: int) -> Self:
        """Memory-mapped; raises ValueError if the folder does not hold so many targets as `write_posteriors` wrote them."""
        return cls((_Part.load(folder, targets),))

    @classmethod
    def join(cls, several: Sequence["Posteriors"]) -> Self:
        return cls(tuple(part for each in several for part in each.parts))

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def top_k(self, target: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and log-probabilities, both [length + 1, k], of one target."""
        part, number = self._find(target)
        span = part.span(number, 0)
        return np.asarray(part.ids[span], np.int64), np.asarray(part.logs[span], np.float32)

    def heard(self, target: int) -> tuple[int, ...]:
        """What the teacher's source CTC spells greedily; nothing where it has none."""
        part, number = self._find(target)
        return tuple(part.heard[part.span(number, 1)].tolist())

    def batch(self, targets: Sequence[int]) -> TopK:
        """The targets of a batch, padded."""
        rows = [self.top_k(target) for target in targets]
        longest, k = max(len(ids) for ids, _ in rows), rows[0][0].shape[1]
        shape = (len(rows), longest, k)
        all_ids, all_logs = torch.full(shape, NONE), torch.zeros(shape)
        for row, (ids, logs) in enumerate(rows):
            all_ids[row, : len(ids)], all_logs[row, : len(logs)] = torch.from_numpy(ids), torch.from_numpy(logs)
        return TopK(all_ids, all_logs)

    def _find(self, target: int) -> tuple["_Part", int]:
        for part in self.parts:
            if target < len(part):
                return part, target
            target -= len(part)
        raise IndexError(f"posteriors hold {len(self)} targets, asked for {target} beyond them")


@dataclass(frozen=True, eq=False)
class _Part:
    ids: NDArray[np.integer]
    logs: NDArray[np.float16]
    heard: NDArray[np.integer]
    ends: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path, targets: int) -> Self:
        try:
            ids, logs = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("ids", "logs"))
            heard, ends = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("heard", "ends"))
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"a folder of posteriors must be as paredown wrote it, {folder} is not: {error}") from error
        if ends.shape != (targets, 2) or targets == 0 or tuple(ends[-1]) != (len(ids), len(heard)) or ids.shape != logs.shape:
            raise ValueError(f"a folder of posteriors must hold {targets} targets, {folder} does not")
        return cls(ids, logs, heard, ends)

    def __len__(self) -> int:
        return len(self.ends)

    def span(self, number: int, column: int) -> slice:
        start = self.ends[number - 1, column] if number else 0
        return slice(int(start), int(self.ends[number, column]))


def write_posteriors(
    folder: Path, ids: NDArray[np.integer], logs: NDArray[np.float16], heard: Sequence[Sequence[int]], lengths: Sequence[int]
) -> None:
    """Writes a folder in one step; `lengths`: positions of each target. A folder that is there is replaced."""
    ends = np.stack([np.cumsum(lengths), np.cumsum([len(each) for each in heard])], axis=1).astype(np.int64)
    arrays = {"ids": ids, "logs": logs, "heard": np.array([token for each in heard for token in each], np.int32), "ends": ends}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".draft-") as draft:
        written = Path(draft) / folder.name
        written.mkdir()
        for name, array in arrays.items():
            np.save(written / f"{name}.npy", array)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(written, folder)
