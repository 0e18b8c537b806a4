"""The numbers of a bundle in the form in which its plan stores them, and the graphs over them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.bundle.graphs.architecture import Architecture
from paredown.bundle.graphs.graph import Graph
from paredown.bundle.input_ranges import range_tensors
from paredown.bundle.plan import BATCH_NORM, BundlePlan, Outline, plan_bundle
from paredown.bundle.tensor_form import Stored, TensorForm
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Array, Quantized, Tensor, to_half
from paredown.space.configuration import Kernel
from paredown.space.cost import FP16_BYTES
from paredown.space.inventory import Inventory

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
    plan = plan_bundle(architecture, inventory, Outline.of(compressed), fp32)
    tensors, graphs = arrange(plan, compressed, buffers), plan.graphs
    return BundleParts(tensors, graphs["encoder"], graphs["decoder"], plan.kernels, plan.nbits, graphs.get("ctc"))


def arrange(plan: BundlePlan, compressed: CompressedModel, buffers: Mapping[str, Array]) -> dict[str, Stored]:
    """The tensors of a compressed model as its plan stores them, by name.

    `buffers` as in `assemble`. Raises BadInput if a weight is too large for half precision, or if a static range is missing; ValueError if
    a tensor has not become what the plan says.
    """
    folded = dict(compressed.tensors)
    fold_batch_norms(folded, buffers)
    for path in plan.unfolded:
        folded[f"{path}.weight"] = channels_last(folded[f"{path}.weight"])
    tensors = {name: _in_half(name, tensor, plan) for name, tensor in folded.items()} | range_tensors(plan.graphs, compressed.ranges)
    stored = {name: tensors[name] for name in plan.forms}
    for name, tensor in stored.items():
        if TensorForm.of(tensor) != plan.forms[name]:
            raise ValueError(f"{name} must be stored as {plan.forms[name]}, got {TensorForm.of(tensor)}")
    return stored


def _in_half(name: str, tensor: Tensor, plan: BundlePlan) -> Stored:
    """A tensor, in half precision where its plan stores numbers so."""
    form = plan.forms.get(name)
    return to_half(name, tensor) if form is not None and form.number_bytes == FP16_BYTES and not isinstance(tensor, Quantized) else tensor


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
    for gamma in [name for name in tensors if name.endswith(f"{BATCH_NORM}weight")]:
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
