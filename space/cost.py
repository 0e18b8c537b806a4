"""What a layer costs on disk: the exact bytes that the bundle's weight file spends on it.

Codes are stored as bit planes, each padded to whole bytes: n bits of N weights take n * ceil(N / 8) bytes. A layer with zeros may be
stored as a mask of one bit per weight and the planes of the survivors alone, ceil(N / 8) + n * ceil(survivors / 8); the cheaper
form is taken. Scales are fp32, one per channel or one per tensor. A layer that stays in fp32 takes 4 bytes a weight, and 2 where the
whole network computes in half precision.
"""

from typing import Literal

from paredown.space.configuration import MAX_BITS, MIN_BITS, Kernel
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
    on a bit-width outside [2, 8] and on more survivors than weights.
    """
    if survivors is not None and not 0 <= survivors <= layer.weights:
        raise ValueError(f"survivors must lie in [0, {layer.weights}], the weights of {layer.path}, got {survivors}")
    if bits is None:
        return (FP16_BYTES if kernel == "fp16" else FP32_BYTES) * layer.weights
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bit-width must lie in [{MIN_BITS}, {MAX_BITS}], got {bits} for {layer.path}")
    codes = dense_bytes(layer.weights, bits)
    if survivors is not None:
        codes = min(codes, sparse_bytes(layer.weights, survivors, bits))
    return codes + FP32_BYTES * (layer.channels if granularity == "channel" else 1)
