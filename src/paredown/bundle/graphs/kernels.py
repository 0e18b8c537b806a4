"""Which kernel computes a layer: the configuration's choice, where the layer's shape lets it."""

from paredown.space.configuration import HALF_BITS, Configuration, Kernel
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import original_path

# Widths of MatMulNBits that are used. It has a 2-bit kernel too, which takes 1.5 to 1.9 times as long as the 4-bit one on a CPU (256x2048,
# blocks of 32, 1 and 10 rows) and with blocks of 16 dequantizes the weights at every call: codes of 2 bits run at 4.
NBITS_WIDTHS = (4, 8)
# What half precision would do to logits (numbers near 16 in steps of 1/64) exchanges candidates of nearly equal score.
_LOGITS = ("decoder.output", "ctc")


def choose_kernels(inventory: Inventory, configuration: Configuration) -> dict[str, Kernel]:
    """The kernel of every layer of an inventory: a model's, dropped blocks included, or what a configuration leaves of it.

    What a kernel cannot take, and layers without bits, compute as the graph does: in half precision where the scheme's kernel is "fp16"
    (but for the layers that give logits), else in fp32. Convolutions of one input channel (depthwise, the first of the subsampling) have
    too little to multiply in int8; MatMulNBits takes matrices and pointwise convolutions. Embeddings of both are looked up as codes.
    Layers of 16 bits have no codes. Two factors have the kernel of the layer that they were made of.
    """
    kernel = configuration.scheme.kernel
    bits, exceptions = configuration.bits_of, configuration.kernels_of
    chosen: dict[str, Kernel] = {}
    for layer in inventory.layers:
        plain: Kernel = "fp16" if kernel == "fp16" and layer.group not in _LOGITS else "fp32"
        path = original_path(layer.path)
        chosen_by_scheme = plain if kernel == "fp16" or bits.get(path) == HALF_BITS else kernel
        wanted = exceptions.get(path, chosen_by_scheme) if path in bits else plain
        chosen[layer.path] = wanted if _takes(wanted, layer) else plain
    return chosen


def _takes(kernel: Kernel, layer: LayerInfo) -> bool:
    if layer.kind != "conv" or kernel in ("fp32", "fp16"):
        return True
    return layer.shape[1] > 1 and (kernel == "int8" or set(layer.shape[2:]) == {1})


def nbits_width(bits: int) -> int:
    """Bits of a code in MatMulNBits: the next width that it has a fast kernel for."""
    return next(width for width in NBITS_WIDTHS if width >= bits)
