"""Expands `weights.bin` into the arrays that the graphs want.

Codes are stored as bit planes (layout: `paredown.bundle.pack`) and leave here as int8 matrices, as blocks of 4 or 8 bits for MatMulNBits,
or times their scales as floats. Tensors are read from the file one by one: a mapping of it would stay in memory beside the arrays.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from paredown.runtime.bundle_files import FLOATS, Form, Initializer, TensorRecord
from paredown.runtime.ranges import to_steps

Array = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int8] | NDArray[np.uint8] | NDArray[np.bool_]
_STRIP = 32  # rows that are transposed at a time: a cache line of floats or half of one of codes, whatever the length of a row


def join_planes(planes: NDArray[np.uint8], size: int) -> NDArray[np.int8]:
    """Signed codes [size] from bit planes [bits, ceil(size / 8)], lowest bit first; stored codes are offset by 2^(bits-1) - 1."""
    unsigned = np.zeros(8 * planes.shape[1], np.uint8)
    for plane in planes[::-1]:
        unsigned += unsigned
        unsigned |= np.unpackbits(plane)
    unsigned = unsigned[:size]
    unsigned -= np.uint8(2 ** (len(planes) - 1) - 1)  # wraps below zero to the two's complement that int8 reads
    return unsigned.view(np.int8)


def pack_blocks(codes: NDArray[np.int8], bits: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Codes [out, in] as MatMulNBits takes them, shape [out, blocks, bytes of a block]: `bits` each (4 or 8), the lowest bits first.

    They are stored unsigned with the operator's default zero point, u = code + 2^(bits-1); a last block that `in` does not fill is
    padded with code 0. Raises ValueError unless the blocks are as many as `in` needs.
    """
    out, blocks, nbytes = shape
    block = nbytes * 8 // bits
    if out != len(codes) or not 0 <= blocks * block - codes.shape[1] < block:
        raise ValueError(f"codes {codes.shape} must fill blocks of {block}, got the shape {shape}")
    zero = np.uint8(1 << (bits - 1))
    unsigned = np.full((out, blocks * block), zero)
    unsigned[:, : codes.shape[1]] = codes.view(np.uint8) + zero  # wraps as two's complement does
    if bits == 8:
        return unsigned.reshape(shape)
    return (unsigned[:, ::2] | unsigned[:, 1::2] << np.uint8(4)).reshape(shape)


class Weights:
    """The tensors of `weights.bin`. An array that several graphs want is made once; arrays are copies, so the file may go."""

    def __init__(self, path: Path, records: tuple[TensorRecord, ...]) -> None:
        self._path = path
        self._records = {record.name: record for record in records}
        self._made: dict[tuple[Any, ...], Array] = {}

    def initializers(self, wanted: tuple[Initializer, ...]) -> dict[str, Array]:
        """The arrays of a graph by initializer name, contiguous."""
        return {entry.name: self._make(entry) for entry in wanted}

    def codes(self, name: str) -> NDArray[np.int8]:
        """Codes of a quantized tensor, in its shape; zero where a sparse one was pruned. Raises ValueError for any other tensor."""
        record = self._quantized(name)
        section = self._read(record.offset, record.nbytes, np.uint8)
        row = (record.size + 7) // 8
        if record.kind == "dense":
            return join_planes(section.reshape(record.bits, row), record.size).reshape(record.shape)
        mask = np.unpackbits(section[:row], count=record.size).view(np.bool_)
        codes = np.zeros(record.size, np.int8)
        codes[mask] = join_planes(section[row:].reshape(record.bits, -1), record.survivors)
        return codes.reshape(record.shape)

    def scales(self, name: str) -> NDArray[np.float32]:
        """Scales of a quantized tensor, [shape[0]]; a tensor's single scale is repeated. Raises ValueError for any other tensor."""
        record = self._quantized(name)
        return np.broadcast_to(self._read(record.scales_offset, record.channels, "<f4"), record.shape[:1])

    def values(self, name: str) -> NDArray[np.float32]:
        """The float32 weights in their shape: as stored, or codes times scales."""
        record = self._records[name]
        if record.kind in FLOATS:
            return self._stored(record).astype(np.float32, copy=False)
        scales = self.scales(name).reshape(-1, *[1] * (len(record.shape) - 1))
        return self.codes(name) * scales

    def _stored(self, record: TensorRecord) -> NDArray[Any]:
        return self._read(record.offset, record.size, "<f4" if record.kind == "raw" else "<f2").reshape(record.shape)

    def _quantized(self, name: str) -> TensorRecord:
        record = self._records[name]
        if record.kind in FLOATS:
            raise ValueError(f"codes and scales belong to a quantized tensor, got {record.kind} {name}")
        return record

    def _read(self, offset: int, count: int, dtype: DTypeLike) -> NDArray[Any]:
        return np.fromfile(self._path, dtype, count, offset=offset)

    def _make(self, entry: Initializer) -> Array:
        if entry.form == "rounding":
            return np.array(True)
        key = (entry.form, entry.tensors, entry.factors, entry.shape)
        if key not in self._made:
            self._made[key] = np.ascontiguousarray(_shaped(entry, self._join(entry)))
        return self._made[key]

    def _join(self, entry: Initializer) -> NDArray[Any]:
        """The tensors of an initializer along their output channels, in torch's layout."""
        factors = entry.factors or (1.0,) * len(entry.tensors)
        parts = [self._part(name, entry.form, factor) for name, factor in zip(entry.tensors, factors, strict=True)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _part(self, name: str, form: Form, factor: float) -> NDArray[Any]:
        record = self._records[name]
        if form == "nbits4" and record.bits > 4:
            raise ValueError(f"codes of {record.bits} bits do not fit into blocks of 4 bits: {name}")
        if form.startswith(("codes", "nbits")):
            return self.codes(name)
        if form.startswith("half") and record.kind == "half" and factor == 1.0:
            return self._stored(record)
        values = self.scales(name) if "scales" in form else self.values(name)
        scaled = values if factor == 1.0 else values * np.float32(factor)
        return scaled.astype(np.float16) if form.startswith("half") else scaled


def _shaped(entry: Initializer, joined: NDArray[Any]) -> NDArray[Any]:
    """Joined tensors [out, ...] in the form and shape of the initializer."""
    if entry.form.startswith("nbits"):
        assert entry.shape is not None  # checked when the initializer was made
        return pack_blocks(joined.reshape(len(joined), -1), int(entry.form.removeprefix("nbits")), entry.shape)
    if entry.form.startswith("range_"):
        scales, zeros = to_steps(joined)
        return scales if entry.form == "range_steps" else zeros
    if entry.form.endswith("_transposed"):
        joined = _transposed(joined.reshape(joined.shape[:2]))  # [out, in, 1] of a pointwise convolution counts as [out, in]
    elif entry.form == "scales_column":
        joined = joined[:, None]
    elif entry.form == "block_scales":
        assert entry.shape is not None
        joined = np.repeat(joined, entry.shape[1])
    return joined if entry.shape is None else joined.reshape(entry.shape)


def _transposed(matrix: NDArray[Any]) -> NDArray[Any]:
    """[out, in] -> contiguous [in, out], in strips: NumPy's own copy is two to four times as slow."""
    turned = np.empty(matrix.shape[::-1], matrix.dtype)
    for start in range(0, len(matrix), _STRIP):
        turned[:, start : start + _STRIP] = matrix[start : start + _STRIP].T
    return turned
