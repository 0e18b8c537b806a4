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
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.tensor_form import Stored, TensorForm, count_bytes, lay_out
from paredown.compress.tensors import Quantized
from paredown.runtime.bundle_files import TensorRecord


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
    for name, tensor in tensors.items():
        _check(name, tensor)
    records = lay_out({name: TensorForm.of(tensor) for name, tensor in tensors.items()})
    data = bytearray(count_bytes(records))
    for record in records:
        tensor = tensors[record.name]
        if isinstance(tensor, Quantized):
            _put(data, record.scales_offset, np.ascontiguousarray(tensor.scales, "<f4").tobytes())
        _put(data, record.offset, _encode(tensor, record))
    return Packed(bytes(data), records)


def split_planes(codes: NDArray[np.int8], bits: int) -> bytes:
    """Bit planes of signed codes (any shape, C order), lowest bit first: `bits * ceil(codes.size / 8)` bytes."""
    unsigned = (codes.reshape(-1).astype(np.int16) + (2 ** (bits - 1) - 1)).astype(np.uint8)
    return b"".join(np.packbits((unsigned >> plane) & 1).tobytes() for plane in range(bits))


def _put(data: bytearray, offset: int, section: bytes) -> None:
    data[offset : offset + len(section)] = section


def _encode(tensor: Stored, record: TensorRecord) -> bytes:
    """The numbers or the planes of a tensor, in the form of its record."""
    if not isinstance(tensor, Quantized):
        return np.ascontiguousarray(tensor, "<f2" if record.kind == "half" else "<f4").tobytes()
    if record.kind == "dense":
        return split_planes(tensor.codes, tensor.bits)
    mask = cast(NDArray[np.bool_], tensor.mask).reshape(-1)  # only a tensor with a mask is sparse
    return np.packbits(mask).tobytes() + split_planes(tensor.codes.reshape(-1)[mask], tensor.bits)


def _check(name: str, tensor: Stored) -> None:
    if isinstance(tensor, Quantized):
        _check_codes(name, tensor)
    elif tensor.dtype not in (np.float32, np.float16):
        raise ValueError(f"a raw tensor must be float32 or float16, got {tensor.dtype} for {name}")


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
