"""What of a compressed model is stored, in which form, and which kernel computes it.

Two things are rewritten before packing, so that nothing is stored twice or computed at run time: a batch norm is folded into the depthwise
convolution in front of it, and the weight of an unfolded convolution is stored channels last. Where the network computes in half precision,
what is not quantized is stored so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.graphs.architecture import Architecture
from paredown.bundle.graphs.ctc import build_ctc, find_ctc
from paredown.bundle.graphs.decoder import build_decoder
from paredown.bundle.graphs.encoder import build_encoder
from paredown.bundle.graphs.graph import Graph, WeightLayout
from paredown.bundle.graphs.kernels import choose_kernels, nbits_width
from paredown.bundle.pack import Stored
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Array, Quantized, Tensor, to_half
from paredown.space.configuration import Kernel
from paredown.space.inventory import Inventory, LayerInfo

BATCH_NORM_EPSILON = 1e-5  # torch's BatchNorm1d, which ESPnet takes as it is


@dataclass(frozen=True)
class BundleParts:
    """Everything of a bundle that depends on the weights: tensors as stored, the graphs, and the kernel of every layer.

    `nbits`: bits of a code in the operator, of the layers that MatMulNBits multiplies.
    """

    tensors: Mapping[str, Stored]
    encoder: Graph
    decoder: Graph
    kernels: Mapping[str, Kernel]
    nbits: Mapping[str, int]
    ctc: Graph | None = None

    @property
    def graphs(self) -> dict[str, Graph]:
        """The graphs by name, as the manifest lists them: encoder, decoder and, where the model has one over its output, the CTC."""
        return {"encoder": self.encoder, "decoder": self.decoder} | ({} if self.ctc is None else {"ctc": self.ctc})


def assemble(
    architecture: Architecture, inventory: Inventory, buffers: Mapping[str, Array], compressed: CompressedModel, fp32: bool = False
) -> BundleParts:
    """The parts of a compressed model's bundle.

    `fp32` gives its graphs in fp32 over the same stored tensors, none of them rounded to half precision (for the parity check).
    `buffers` holds the running statistics of the batch norms, which are no parameters. Tensors that no graph uses are left out.
    Raises BadInput if a weight is too large for half precision.
    """
    configuration = compressed.configuration
    kernels, bits = choose_kernels(inventory, configuration), configuration.bits_of
    nbits = {layer.path: nbits_width(bits[layer.path]) for layer in inventory.layers if _is_blocked(layer, kernels[layer.path])}
    unfolded = {layer.path: layer.shape[2] for layer in inventory.layers if len(layer.shape) == 4 and kernels[layer.path] == "int8"}
    half = configuration.scheme.kernel == "fp16" and not fp32
    folded = dict(compressed.tensors)
    fold_batch_norms(folded, buffers)
    for path in unfolded:
        folded[f"{path}.weight"] = channels_last(folded[f"{path}.weight"])
    tensors: dict[str, Stored] = dict(folded)
    if half:
        tensors = {name: tensor if isinstance(tensor, Quantized) else to_half(name, tensor) for name, tensor in folded.items()}
    shapes = {name: _shape(tensor) for name, tensor in tensors.items()}
    layout = WeightLayout(shapes, {} if fp32 else kernels, unfolded, nbits, configuration.scheme.block, half)
    encoder = build_encoder(architecture, layout, compressed.keep["encoder"], compressed.keep["decoder"])
    decoder = build_decoder(architecture, layout, compressed.keep["decoder"])
    head = find_ctc(inventory)
    ctc = None if head is None else build_ctc(architecture, layout, head)
    graphs = [graph for graph in (encoder, decoder, ctc) if graph is not None]
    used = {name for graph in graphs for initializer in graph.initializers for name in initializer.tensors}
    return BundleParts({name: tensors[name] for name in sorted(used)}, encoder, decoder, kernels, nbits, ctc)


def _is_blocked(layer: LayerInfo, kernel: Kernel) -> bool:
    """Whether MatMulNBits multiplies the layer; an embedding of that kernel is looked up."""
    return kernel == "nbits" and layer.kind != "embedding"


def channels_last(weight: Tensor) -> Tensor:
    """A 2-d convolution's weight [out, in, height, width] as [out, height * width * in]."""
    if isinstance(weight, Quantized):
        mask = None if weight.mask is None else _flatten_last(weight.mask)
        return replace(weight, codes=_flatten_last(weight.codes), mask=mask)
    return _flatten_last(weight)


def _flatten_last(weight: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(len(weight), -1)


def fold_batch_norms(tensors: dict[str, Tensor], buffers: Mapping[str, Array]) -> None:
    """Move every batch norm, y = (x - mean) gain + beta with gain = gamma / sqrt(var + eps), into the convolution in front of it."""
    for gamma in [name for name in tensors if name.endswith("conv_module.norm.weight")]:
        module = gamma.removesuffix("norm.weight")
        mean, variance = (np.asarray(buffers[f"{module}norm.running_{part}"], np.float64) for part in ("mean", "var"))
        gain = np.asarray(tensors.pop(gamma), np.float64) / np.sqrt(variance + BATCH_NORM_EPSILON)
        beta = np.asarray(tensors.pop(f"{module}norm.bias"), np.float64)
        weight, bias = f"{module}depthwise_conv.weight", f"{module}depthwise_conv.bias"
        tensors[bias] = ((np.asarray(tensors[bias], np.float64) - mean) * gain + beta).astype(np.float32)
        tensors[weight] = _scaled(tensors[weight], gain)


def _scaled(weight: Tensor, gain: NDArray[np.float64]) -> Tensor:
    """A weight whose channels are multiplied by `gain`; of a quantized one only the scales change (one a channel, maybe negative)."""
    if isinstance(weight, Quantized):
        return replace(weight, scales=(weight.scales.astype(np.float64) * gain).astype(np.float32))
    scaled: Array = (weight.astype(np.float64) * gain.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
    return scaled


def _shape(tensor: Stored) -> tuple[int, ...]:
    return tensor.codes.shape if isinstance(tensor, Quantized) else tensor.shape
