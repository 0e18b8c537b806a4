"""What calibration leaves: of every layer the second moment of its inputs, and a few of the inputs themselves; plain arrays, one file."""

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from paredown.compress.tensors import Array
from paredown.npz import write_npz

_OF_ROWS = ("rows", "lows", "highs", "least", "most")


@dataclass(frozen=True, eq=False)
class LayerMoment:
    """The second moment `matrix` [in, in], mean of x x', of the inputs x that the layers `paths` read, the same for all of them.

    `in` counts what a channel has of weights, in torch's order (units of a linear layer; the patch of a convolution). An embedding reads
    ids: there it is the moment of the loss's gradient at its output, which weighs errors of its rows as inputs weigh those of a matrix.
    """

    paths: tuple[str, ...]
    matrix: Array

    def __post_init__(self) -> None:
        if not np.array_equal(self.matrix, self.matrix.T):  # to the last bit: its file holds one half
            raise ValueError(f"a moment must be symmetric, got one of {self.paths[0]} that is not")


@dataclass(frozen=True, eq=False)
class LayerRows:
    """Some inputs `rows` [n, in] of the layers `paths`, which all read the same numbers (q, k and v; keys and values of the memory).

    `lows` and `highs` [n]: the smallest and largest number of the call that a row is part of, as the runtime calls the layer. `least` and
    `most` [in]: the same of every unit, over all calls.
    """

    paths: tuple[str, ...]
    rows: Array
    lows: Array
    highs: Array
    least: Array
    most: Array

    def __post_init__(self) -> None:
        if not self.least.shape == self.most.shape == self.rows.shape[1:]:
            raise ValueError(
                f"each unit has a range, got {self.rows.shape[1]} units, {len(self.least)} and {len(self.most)} ends of ranges"
            )
        if not len(self.rows) == len(self.lows) == len(self.highs):
            raise ValueError(f"each row has a range, got {len(self.rows)} rows, {len(self.lows)} and {len(self.highs)} ends of ranges")


@dataclass(frozen=True, eq=False)
class Calibration:
    """Of all layers that have them. `digest` names model, data and settings; `utterances` is how many there were."""

    moments: tuple[LayerMoment, ...]
    rows: tuple[LayerRows, ...]
    digest: str
    utterances: int

    def moment(self, path: str) -> Array | None:
        """The moment of a layer; None where inputs tell nothing of it (depthwise convolutions)."""
        return self._by_path.get(path)

    def inputs(self, path: str) -> LayerRows | None:
        """What a layer reads; None where nothing was kept of it (depthwise convolutions, embeddings)."""
        return self._rows_by_path.get(path)

    @cached_property
    def _rows_by_path(self) -> dict[str, LayerRows]:
        return {path: entry for entry in self.rows for path in entry.paths}

    @cached_property
    def _by_path(self) -> dict[str, Array]:
        return {path: entry.matrix for entry in self.moments for path in entry.paths}

    def save(self, path: Path) -> None:
        """Write one npz file, atomically, moments as lower triangles; its folder must exist."""
        described = {
            "digest": self.digest,
            "utterances": self.utterances,
            "moments": [entry.paths for entry in self.moments],
            "rows": [entry.paths for entry in self.rows],
        }
        arrays: dict[str, Any] = {"description": np.array(json.dumps(described))}
        arrays |= {f"moment.{index}": entry.matrix[np.tril_indices(len(entry.matrix))] for index, entry in enumerate(self.moments)}
        for index, entry in enumerate(self.rows):
            arrays |= {f"{name}.{index}": getattr(entry, name) for name in _OF_ROWS}
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The calibration that `save` wrote; raises ValueError if the file is damaged or none, FileNotFoundError if there is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                described = json.loads(str(arrays["description"]))
                moments = (LayerMoment(tuple(paths), _unfolded(arrays[f"moment.{i}"])) for i, paths in enumerate(described["moments"]))
                rows = (LayerRows(tuple(paths), *(arrays[f"{name}.{i}"] for name in _OF_ROWS)) for i, paths in enumerate(described["rows"]))
                return cls(tuple(moments), tuple(rows), described["digest"], int(described["utterances"]))
        except FileNotFoundError:
            raise
        except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"a calibration file must be as paredown wrote it, {path} is not: {error}") from error


def mirrored(matrix: Array) -> Array:
    """The symmetric matrix with this lower triangle."""
    return np.tril(matrix) + np.tril(matrix, -1).T


def _unfolded(triangle: Array) -> Array:
    """The symmetric matrix of a lower triangle, row by row [size * (size + 1) / 2]."""
    size = int((np.sqrt(8 * len(triangle) + 1) - 1) / 2)
    matrix = np.zeros((size, size), triangle.dtype)
    matrix[np.tril_indices(size)] = triangle
    return mirrored(matrix)
