"""What of a compressed model is stored, in which form, and which kernel computes it.

Two things are rewritten before packing, so that nothing is stored twice or computed at run time: a batch norm is folded into the depthwise
convolution in front of it, and the weight of an unfolded convolution is stored channels last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.architecture import Architecture
from paredown.bundle.decoder import build_decoder
from paredown.bundle.encoder import build_encoder
from paredown.bundle.graph import Graph, WeightLayout
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Array, Quantized, Tensor
from paredown.space.inventory import Inventory

BATCH_NORM_EPSILON = 1e-5  # torch's BatchNorm1d, which ESPnet takes as it is


@dataclass(frozen=True)
class BundleParts:
    """Everything of a bundle that depends on the weights: tensors as stored, both graphs, and the layers computed in int8."""

    tensors: Mapping[str, Tensor]
    encoder: Graph
    decoder: Graph
    int8: frozenset[str]


def assemble(
    architecture: Architecture, inventory: Inventory, buffers: Mapping[str, Array], compressed: CompressedModel, fp32: bool = False
) -> BundleParts:
    """The parts of a compressed model's bundle; `fp32` gives its graphs in fp32 over the same stored tensors (for the parity check).

    `buffers` holds the running statistics of the batch norms, which are no parameters. Tensors that no graph uses are left out.
    """
    int8 = int8_layers(inventory, compressed)
    kernels = {path: inventory.by_path[path].shape[2] for path in int8 if len(inventory.by_path[path].shape) == 4}
    tensors = dict(compressed.tensors)
    fold_batch_norms(tensors, buffers)
    for path in kernels:
        tensors[f"{path}.weight"] = channels_last(tensors[f"{path}.weight"])
    shapes = {name: _shape(tensor) for name, tensor in tensors.items()}
    layout = WeightLayout(shapes, frozenset() if fp32 else int8, kernels)
    encoder = build_encoder(architecture, layout, compressed.keep["encoder"], compressed.keep["decoder"])
    decoder = build_decoder(architecture, layout, compressed.keep["decoder"])
    used = {name for graph in (encoder, decoder) for initializer in graph.initializers for name in initializer.tensors}
    return BundleParts({name: tensors[name] for name in sorted(used)}, encoder, decoder, int8)


def int8_layers(inventory: Inventory, compressed: CompressedModel) -> frozenset[str]:
    """Quantized layers that the int8 kernel multiplies: matrices, embeddings (looked up as codes), convolutions of many input channels.

    Depthwise convolutions and those of one input channel have too little to multiply: they run in fp32, expanded when loaded.
    """
    if compressed.configuration.scheme.kernel != "int8":
        return frozenset()
    layers = (inventory.by_path[path] for path, _ in compressed.configuration.bits)
    return frozenset(layer.path for layer in layers if layer.kind != "conv" or layer.shape[1] > 1)


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


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tensor.codes.shape if isinstance(tensor, Quantized) else tensor.shape
