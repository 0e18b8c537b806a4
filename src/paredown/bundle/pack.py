"""Packs tensors into the bytes of `weights.bin`, every bit-width at its true size.

All float32 arrays come first (so that each begins at a multiple of four bytes), then those of float16, then the planes; no padding
between records:

```
| raw tensors, scales: float32, little-endian, by name | half tensors: float16, by name | planes of quantized tensors, by name |
```

A layer of N weights at n bits has codes in [-(2^(n-1) - 1), 2^(n-1) - 1], stored unsigned: u = code + 2^(n-1) - 1.
Weights are numbered in C order of the torch layout; weight i is bit 7 - i % 8 of byte i // 8 of every plane:

```
dense    | plane 0: bit 0 of u[0..N-1] | plane 1 | ... | plane n-1 |            n * ceil(N / 8) bytes
sparse   | mask of N bits | plane 0 of the K survivors | ... | plane n-1 |      ceil(N / 8) + n * ceil(K / 8) bytes
scales   float32 [channels]                                                    4 * channels bytes
```

A tensor with a mask takes the cheaper of the two, dense when they are equal (a pruned weight has code 0 in any case).
`paredown.space.cost` gives the same number of bytes without packing; `paredown.runtime.weights` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import TensorRecord

Stored = Tensor | NDArray[np.float16]


@dataclass(frozen=True)
class Packed:
    """The bytes of `weights.bin` and a record for every tensor, sorted by name."""

    data: bytes
    records: tuple[TensorRecord, ...]


def pack(tensors: Mapping[str, Stored]) -> Packed:
    """Lay out tensors by name; equal tensors give equal bytes, whatever the order of the mapping.

    Raises ValueError if a raw tensor is neither float32 nor float16, if a code lies outside its bit-width, or if a pruned weight's code
    is not 0.
    """
    floats, halves, planes = bytearray(), bytearray(), bytearray()
    drafts: list[TensorRecord] = []
    for name, tensor in sorted(tensors.items()):
        if isinstance(tensor, Quantized):
            drafts.append(_lay_quantized(name, tensor, floats, planes))
        else:
            drafts.append(_lay_floats(name, tensor, halves if tensor.dtype == np.float16 else floats))
    # Every section was counted from its own beginning.
    shifts = {"raw": 0, "half": len(floats), "dense": len(floats) + len(halves), "sparse": len(floats) + len(halves)}
    records = tuple(replace(draft, offset=draft.offset + shifts[draft.kind]) for draft in drafts)
    return Packed(bytes(floats + halves + planes), records)


def split_planes(codes: NDArray[np.int8], bits: int) -> bytes:
    """Bit planes of signed codes (any shape, C order), lowest bit first: `bits * ceil(codes.size / 8)` bytes."""
    unsigned = (codes.reshape(-1).astype(np.int16) + (2 ** (bits - 1) - 1)).astype(np.uint8)
    return b"".join(np.packbits((unsigned >> plane) & 1).tobytes() for plane in range(bits))


def _lay_floats(name: str, tensor: NDArray[np.float32] | NDArray[np.float16], section: bytearray) -> TensorRecord:
    if tensor.dtype not in (np.float32, np.float16):
        raise ValueError(f"a raw tensor must be float32 or float16, got {tensor.dtype} for {name}")
    offset, half = len(section), tensor.dtype == np.float16
    section += np.ascontiguousarray(tensor, "<f2" if half else "<f4").tobytes()
    return TensorRecord(name, "half" if half else "raw", tensor.shape, offset, len(section) - offset)


def _lay_quantized(name: str, tensor: Quantized, floats: bytearray, planes: bytearray) -> TensorRecord:
    _check_codes(name, tensor)
    scales_offset, offset = len(floats), len(planes)
    floats += np.ascontiguousarray(tensor.scales, "<f4").tobytes()
    section, survivors = _encode(tensor)
    planes += section
    return TensorRecord(
        name,
        "dense" if survivors is None else "sparse",
        tensor.codes.shape,
        offset,
        len(section),
        bits=tensor.bits,
        scales_offset=scales_offset,
        channels=tensor.scales.size,
        survivors=survivors or 0,
    )


def _encode(tensor: Quantized) -> tuple[bytes, int | None]:
    """The cheaper section, and the number of survivors where that is the sparse one."""
    if tensor.mask is not None:
        survivors = int(np.count_nonzero(tensor.mask))
        row = (tensor.codes.size + 7) // 8
        if row + tensor.bits * ((survivors + 7) // 8) < tensor.bits * row:
            kept = tensor.codes.reshape(-1)[tensor.mask.reshape(-1)]
            return np.packbits(tensor.mask.reshape(-1)).tobytes() + split_planes(kept, tensor.bits), survivors
    return split_planes(tensor.codes, tensor.bits), None


def _check_codes(name: str, tensor: Quantized) -> None:
    top = 2 ** (tensor.bits - 1) - 1
    if tensor.codes.size and max(int(tensor.codes.max()), -int(tensor.codes.min())) > top:
        raise ValueError(
            f"codes of {tensor.bits} bits must lie in [{-top}, {top}], got {tensor.codes.min()}..{tensor.codes.max()} for {name}"
        )
    if tensor.scales.size not in (1, tensor.codes.shape[0]):
        raise ValueError(f"scales must be one, or one a channel ({tensor.codes.shape[0]}), got {tensor.scales.size} for {name}")
    if tensor.mask is not None and np.any(tensor.codes[~tensor.mask]):
        raise ValueError(f"a pruned weight must have code 0, got another for {name}")
