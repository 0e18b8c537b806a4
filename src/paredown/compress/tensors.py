"""What a compressed model is made of: plain float32 arrays, and integer codes with their scales."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Quantized:
    """A weight as integer codes times scales, in torch's layout (axis 0 is the output channel; for an embedding, the token).

    `codes` int8, in [-(2^(bits-1) - 1), 2^(bits-1) - 1]; `scales` float32 [channels], or [1] for the whole tensor; `mask` bool in
    the shape of the codes, True where the weight survives pruning, None where nothing is pruned. A pruned weight has code 0.
    """

    codes: NDArray[np.int8]
    scales: Array
    bits: int
    mask: NDArray[np.bool_] | None = None

    def dequantize(self) -> Array:
        """The float32 weight these codes stand for, in the shape of the codes."""
        return self.codes * self.scales.reshape(-1, *(1,) * (self.codes.ndim - 1))


Tensor = Quantized | Array


def as_matrix(tensor: Tensor) -> Array:
    """A weight [out, ...] as the float32 matrix [out, in] that it stands for."""
    dense = tensor.dequantize() if isinstance(tensor, Quantized) else tensor
    return dense.reshape(len(dense), -1)


def to_half(name: str, values: Array) -> NDArray[np.float16]:
    """Numbers of half precision, rounded to the nearest. Raises BadInput, naming the tensor, where one is too large."""
    largest, limit = np.abs(values).max(initial=0), np.finfo(np.float16).max
    if not largest <= limit:
        raise BadInput(f"half precision takes weights of at most {limit:.0f}, got {largest:.4g} in {name}")
    return values.astype(np.float16)
