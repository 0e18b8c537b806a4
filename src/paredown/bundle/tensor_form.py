"""How a tensor of a bundle is stored, without its numbers: from this alone follow its record, its bytes and the graphs over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Kind, TensorRecord
from paredown.space.cost import FP16_BYTES, FP32_BYTES, dense_bytes, sparse_bytes

Stored = Tensor | NDArray[np.float16]


@dataclass(frozen=True)
class TensorForm:
    """Numbers of `number_bytes` each (4: float32, 2: float16) where `bits` is None, else codes of `bits` bits with `channels` scales.

    `survivors`: how many weights of a quantized tensor its mask leaves, None where it has no mask.
    """

    shape: tuple[int, ...]
    bits: int | None = None
    channels: int = 0
    survivors: int | None = None
    number_bytes: int = FP32_BYTES

    @classmethod
    def of(cls, tensor: Stored) -> Self:
        if isinstance(tensor, Quantized):
            survivors = None if tensor.mask is None else int(np.count_nonzero(tensor.mask))
            return cls(tensor.codes.shape, tensor.bits, tensor.scales.size, survivors)
        return cls(tensor.shape, number_bytes=tensor.dtype.itemsize)

    @property
    def size(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    @property
    def sparsity(self) -> float | None:
        """Share of weights that were pruned, None without a mask."""
        return None if self.survivors is None else 1.0 - self.survivors / self.size

    @property
    def kind(self) -> Kind:
        """How it is stored: with a mask in the cheaper of two forms, dense when they are equal."""
        if self.bits is None:
            return "half" if self.number_bytes == FP16_BYTES else "raw"
        sparse = self.survivors is not None and sparse_bytes(self.size, self.survivors, self.bits) < dense_bytes(self.size, self.bits)
        return "sparse" if sparse else "dense"

    def to_record(self, name: str, kind: Kind, offset: int, scales_offset: int) -> TensorRecord:
        """Its record, at these offsets."""
        if self.bits is None:
            return TensorRecord(name, kind, self.shape, offset, self.number_bytes * self.size)
        survivors = (self.survivors or 0) if kind == "sparse" else 0
        nbytes = sparse_bytes(self.size, survivors, self.bits) if kind == "sparse" else dense_bytes(self.size, self.bits)
        return TensorRecord(name, kind, self.shape, offset, nbytes, self.bits, scales_offset, self.channels, survivors)


def lay_out(forms: Mapping[str, TensorForm]) -> tuple[TensorRecord, ...]:
    """Where every tensor lies in `weights.bin` (`paredown.bundle.pack` draws it), sorted by name, whatever the order of the mapping."""
    placed = [(name, form, form.kind) for name, form in sorted(forms.items())]
    floats = sum(FP32_BYTES * (form.size if kind == "raw" else form.channels) for _, form, kind in placed)
    halves = sum(FP16_BYTES * form.size for _, form, kind in placed if kind == "half")
    ends = {"floats": 0, "half": floats, "planes": floats + halves}  # of what each section holds so far
    records = []
    for name, form, kind in placed:
        section = {"raw": "floats", "half": "half"}.get(kind, "planes")
        records.append(form.to_record(name, kind, ends[section], ends["floats"] if form.bits is not None else 0))
        ends[section] += records[-1].nbytes
        ends["floats"] += FP32_BYTES * form.channels
    return tuple(records)


def count_bytes(records: Sequence[TensorRecord]) -> int:
    """Bytes of the `weights.bin` that these records describe."""
    return max((record.end for record in records), default=0)
