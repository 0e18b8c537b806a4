"""Expands `weights.bin` into the arrays that the graphs want.

Codes are stored as bit planes (layout: `paredown.bundle.pack`). Eight weights share a byte of each plane, so a plane is turned
into codes by one table look-up a byte: the table's entry is eight bytes that hold 0 or 1 each, and plane p is shifted left by p.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.runtime.bundle_files import Initializer, TensorRecord

Array = NDArray[np.float32] | NDArray[np.int8]
_BITS_OF_BYTE: NDArray[np.uint64] = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).view(np.uint64)[:, 0]


def join_planes(planes: NDArray[np.uint8], size: int) -> NDArray[np.int8]:
    """Signed codes [size] from bit planes [bits, ceil(size / 8)], lowest bit first; stored codes are offset by 2^(bits-1) - 1."""
    bits = len(planes)
    words = np.zeros(planes.shape[1], np.uint64)
    for plane, row in enumerate(planes):
        words |= (_BITS_OF_BYTE << np.uint64(plane))[row]
    unsigned = words.view(np.uint8)[:size]
    unsigned -= np.uint8(2 ** (bits - 1) - 1)  # wraps below zero to the two's complement that int8 reads
    return unsigned.view(np.int8)


class Weights:
    """`weights.bin`, memory-mapped. An array that both graphs want is made once; arrays are copies, so the file may go."""

    def __init__(self, path: Path, records: tuple[TensorRecord, ...]) -> None:
        self._data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        self._records = {record.name: record for record in records}
        self._made: dict[tuple[Any, ...], Array] = {}

    def initializers(self, wanted: tuple[Initializer, ...]) -> dict[str, Array]:
        """The arrays of a graph by initializer name, contiguous float32 or int8."""
        return {entry.name: self._make(entry) for entry in wanted}

    def codes(self, name: str) -> NDArray[np.int8]:
        """Codes of a quantized tensor, in its shape; zero where a sparse one was pruned. Raises ValueError for a raw tensor."""
        record = self._records[name]
        if record.kind == "raw":
            raise ValueError(f"codes are made of a quantized tensor, got raw {name}")
        section = self._data[record.offset : record.offset + record.nbytes]
        row = (record.size + 7) // 8
        if record.kind == "dense":
            return join_planes(section.reshape(record.bits, row), record.size).reshape(record.shape)
        mask = np.unpackbits(section[:row], count=record.size).view(np.bool_)
        codes = np.zeros(record.size, np.int8)
        codes[mask] = join_planes(section[row:].reshape(record.bits, -1), record.survivors)
        return codes.reshape(record.shape)

    def scales(self, name: str) -> NDArray[np.float32]:
        """Scales of a quantized tensor, [shape[0]]; a tensor's single scale is repeated. Raises ValueError for a raw tensor."""
        record = self._records[name]
        if record.kind == "raw":
            raise ValueError(f"scales belong to a quantized tensor, got raw {name}")
        return np.broadcast_to(self._floats(record.scales_offset, record.channels), record.shape[:1])

    def values(self, name: str) -> NDArray[np.float32]:
        """The float32 weights in their shape: as stored (raw), or codes times scales."""
        record = self._records[name]
        if record.kind == "raw":
            return self._floats(record.offset, record.size).reshape(record.shape)
        scales = self.scales(name).reshape(-1, *[1] * (len(record.shape) - 1))
        return self.codes(name).astype(np.float32) * scales

    def _floats(self, offset: int, count: int) -> NDArray[np.float32]:
        return np.array(self._data[offset : offset + 4 * count]).view("<f4").astype(np.float32, copy=False)

    def _make(self, entry: Initializer) -> Array:
        key = (entry.form, entry.tensors, entry.factors, entry.shape)
        if key not in self._made:
            joined = self._join(entry)
            if entry.form.endswith("_transposed"):
                joined = joined.reshape(joined.shape[:2]).T  # [out, in, 1] of a pointwise convolution counts as [out, in]
            elif entry.form == "scales_column":
                joined = joined[:, None]
            self._made[key] = np.ascontiguousarray(joined if entry.shape is None else joined.reshape(entry.shape))
        return self._made[key]

    def _join(self, entry: Initializer) -> NDArray[Any]:
        if entry.form.startswith("codes"):
            return _concatenate([self.codes(name) for name in entry.tensors])
        part = self.scales if entry.form.startswith("scales") else self.values
        if not entry.factors:
            return _concatenate([part(name) for name in entry.tensors])
        return _concatenate([part(name) * np.float32(factor) for name, factor in zip(entry.tensors, entry.factors, strict=True)])


def _concatenate(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
