"""What calibration leaves: of every layer, the second moment of its inputs and a few of the inputs themselves. Plain arrays, in one file."""

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Array

_ARRAYS = ("rows", "lows", "highs")


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """What the layers `paths` read: the same numbers (q, k and v of an attention, keys and values of the memory, all `linear_pos`).

    `moment` [in, in]: mean of x x' over the inputs x of the uncompressed model; `in` counts what a channel has of weights, in torch's
    order (rows of a linear layer; patches of a convolution). An embedding reads ids: there it is the second moment of the loss's gradient
    at its output, which weighs the errors of its rows as inputs weigh those of a matrix.
    `rows` [n, in]: some of those inputs (none of an embedding); `lows` and `highs` [n]: the smallest and the largest number of the call
    that each of them is part of, as the runtime calls the layer: a whole utterance in the encoder, all beams of a step in the decoder.
    """

    paths: tuple[str, ...]
    moment: Array
    rows: Array
    lows: Array
    highs: Array

    def __post_init__(self) -> None:
        size = self.moment.shape[0]
        if self.moment.shape != (size, size) or self.rows.shape[1:] != (size,):
            raise ValueError(f"a moment is square and as wide as its rows, got {self.moment.shape} and {self.rows.shape}")
        if not len(self.rows) == len(self.lows) == len(self.highs):
            raise ValueError(f"each row has a range, got {len(self.rows)} rows, {len(self.lows)} and {len(self.highs)} ends of ranges")


@dataclass(frozen=True, eq=False)
class Calibration:
    """The inputs of all layers that have some. `digest` names model, data and settings; `utterances` is how many there were."""

    inputs: tuple[LayerInputs, ...]
    digest: str
    utterances: int

    @cached_property
    def by_path(self) -> Mapping[str, LayerInputs]:
        return {path: entry for entry in self.inputs for path in entry.paths}

    def moment(self, path: str) -> Array | None:
        """The moment of a layer; None where inputs tell nothing of it (depthwise convolutions)."""
        return self.by_path[path].moment if path in self.by_path else None

    def save(self, path: Path) -> None:
        """Write one npz file, atomically, moments as lower triangles; its folder must exist."""
        described = {"digest": self.digest, "utterances": self.utterances, "paths": [entry.paths for entry in self.inputs]}
        arrays: dict[str, NDArray[np.generic]] = {"description": np.array(json.dumps(described))}
        for index, entry in enumerate(self.inputs):
            arrays[f"{index}.moment"] = entry.moment[np.tril_indices(len(entry.moment))]
            arrays |= {f"{index}.{name}": getattr(entry, name) for name in _ARRAYS}
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> Self:
        """The calibration that `save` wrote; raises ValueError if the file is damaged or none, FileNotFoundError if there is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                described = json.loads(str(arrays["description"]))
                inputs = tuple(
                    LayerInputs(tuple(paths), _mirrored(arrays[f"{index}.moment"]), *(arrays[f"{index}.{name}"] for name in _ARRAYS))
                    for index, paths in enumerate(described["paths"])
                )
            return cls(inputs, described["digest"], int(described["utterances"]))
        except FileNotFoundError:
            raise
        except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"a calibration file must be as paredown wrote it, {path} is not: {error}") from error


def _mirrored(triangle: Array) -> Array:
    """The symmetric matrix of a lower triangle."""
    size = int((np.sqrt(8 * len(triangle) + 1) - 1) / 2)
    matrix = np.zeros((size, size), triangle.dtype)
    matrix[np.tril_indices(size)] = triangle
    return matrix + np.tril(matrix, -1).T
