"""What a layer costs on disk: the exact bytes that the bundle's weight file spends on it.

Codes are stored as bit planes, each padded to whole bytes: n bits of N weights take n * ceil(N / 8) bytes. A layer with zeros may be
stored as a mask of one bit per weight and the planes of the survivors alone, ceil(N / 8) + n * ceil(survivors / 8); the cheaper
form is taken. Scales are fp32, one per channel or one per tensor. A layer that stays in fp32 takes 4 bytes a weight, and 2 where the
whole network computes in half precision or the layer is stored so (16 "bits"); neither has scales, and zeros are stored like any number.
"""

from collections.abc import Sequence
from typing import Literal

from paredown.space.configuration import HALF_BITS, MAX_BITS, MIN_BITS, Kernel
from paredown.space.inventory import LayerInfo

FP32_BYTES, FP16_BYTES = 4, 2


def dense_bytes(weights: int, bits: int) -> int:
    """Bytes of the codes of a layer stored in full."""
    return bits * -(-weights // 8)


def sparse_bytes(weights: int, survivors: int, bits: int) -> int:
    """Bytes of the mask and of the codes of the weights that survive."""
    return -(-weights // 8) + bits * -(-survivors // 8)


def layer_bytes(
    layer: LayerInfo,
    bits: int | None,
    survivors: int | None = None,
    granularity: Literal["channel", "tensor"] = "channel",
    kernel: Kernel = "int8",
) -> int:
    """Exact stored bytes of one layer, scales and mask included.

    `bits` None means that the layer stays in fp32, or in fp16 where that is the scheme's `kernel` (with bits the kernel changes
    nothing); `survivors` None means that it has no zeros to leave out. Raises ValueError
    on a bit-width that is neither in [2, 8] nor 16, and on more survivors than weights.
    """
    if survivors is not None and not 0 <= survivors <= layer.weights:
        raise ValueError(f"survivors must lie in [0, {layer.weights}], the weights of {layer.path}, got {survivors}")
    if bits is None:
        return (FP16_BYTES if kernel == "fp16" else FP32_BYTES) * layer.weights
    if bits == HALF_BITS:
        return FP16_BYTES * layer.weights
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bit-width must lie in [{MIN_BITS}, {MAX_BITS}] or be {HALF_BITS}, got {bits} for {layer.path}")
    codes = dense_bytes(layer.weights, bits)
    if survivors is not None:
        codes = min(codes, sparse_bytes(layer.weights, survivors, bits))
    return codes + FP32_BYTES * (layer.channels if granularity == "channel" else 1)


def reduced_bytes(
    parts: Sequence[LayerInfo],
    bits: int | None,
    survivors: Sequence[int | None] | None = None,
    granularity: Literal["channel", "tensor"] = "channel",
    kernel: Kernel = "int8",
) -> int:
    """Exact stored bytes of a layer of the original model at one bit-width: of all `parts` that a configuration leaves of it.

    `parts` are those layers of the reduced inventory whose `original_path` it is: itself, perhaps narrower, or its two factors.
    `survivors`: of each part, None where nothing is pruned. Arguments else and errors as in `layer_bytes`.
    """
    left = [None] * len(parts) if survivors is None else survivors
    return sum(layer_bytes(part, bits, count, granularity, kernel) for part, count in zip(parts, left, strict=True))
