"""The products of weights in a graph, and a copy of the graph that shows what goes into them and what comes out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from paredown.bundle.graphs.graph import Graph
from paredown.runtime.bundle_files import Form, Initializer
from paredown.runtime.session import Graph as OpenGraph
from paredown.runtime.weights import Array

_KINDS: Mapping[Form, Literal["float", "int8", "nbits"]] = {
    "float_transposed": "float",
    "half_transposed": "float",
    "codes_transposed": "int8",
    "nbits4": "nbits",
    "nbits8": "nbits",
}
_SCALES = ("scales", "block_scales")


@dataclass(frozen=True)
class Product:
    """One product of a graph: the layers `paths` over one input, their outputs side by side, each times its factor.

    `source`: the value that is multiplied, in floats (where `image`, of an unfolded int8 convolution, what patches are taken of);
    `output`: the result, its bias inside where `has_bias`. `half`: weights and values are float16. `block` and `zero`, of "nbits":
    weights to a scale, and what is added to their codes where they are stored. `static`, of "int8": the range that activations are rounded
    by is known before, else it is that of the call.
    """

    kind: Literal["float", "int8", "nbits"]
    paths: tuple[str, ...]
    factors: tuple[float, ...]
    source: str
    output: str
    has_bias: bool
    half: bool = False
    block: int = 0
    zero: int = 0
    image: bool = False
    static: bool = False


def find_products(graph: Graph) -> tuple[Product, ...]:
    """All products of weights, in the order in which the graph computes them: nodes that take weights laid out as a matrix."""
    initializers = {entry.name: entry for entry in graph.initializers}
    quantizers = _find_quantizers(graph)
    taken = ((node, [initializers[name] for name in node.input if name in initializers]) for node in graph.model.graph.node)
    return tuple(_describe(node, entries, quantizers) for node, entries in taken if any(entry.form in _KINDS for entry in entries))


def show_products(graph: Graph, products: Sequence[Product]) -> Graph:
    """A copy of the graph with every source and output of its products among its outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    there = {value.name for value in (*model.graph.input, *model.graph.output)}
    for product in products:
        for name in (product.source, product.output):
            if name not in there:
                model.graph.output.append(
                    helper.make_tensor_value_info(name, TensorProto.FLOAT16 if product.half else TensorProto.FLOAT, None)
                )
                there.add(name)
    return Graph(model, graph.initializers)


class WatchedGraph(OpenGraph):
    """An open graph that keeps the named values of its last run in `values`, its inputs among them."""

    def __init__(self, path: Path, weights: Mapping[str, Array], watched: Sequence[str]) -> None:
        super().__init__(path, weights)
        self._watched = tuple(dict.fromkeys(name for name in watched if name not in self.inputs))
        self.values: dict[str, NDArray[Any]] = {}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Collection[str] = ()) -> list[Any]:
        more = [name for name in self._watched if name not in outputs]
        arrays = super().run([*outputs, *more], inputs, keep)
        self.values = dict(inputs) | dict(zip([*outputs, *more], arrays, strict=True))
        return arrays[: len(outputs)]


def _find_quantizers(graph: Graph) -> dict[str, onnx.NodeProto]:
    """The nodes that make uint8 of activations, by the name of their scale."""
    nodes = graph.model.graph.node
    static = {node.input[1]: node for node in nodes if node.op_type == "QuantizeLinear"}
    return static | {node.output[1]: node for node in nodes if node.op_type == "DynamicQuantizeLinear"}


def _describe(node: onnx.NodeProto, entries: Sequence[Initializer], quantizers: Mapping[str, onnx.NodeProto]) -> Product:
    """`entries`: the initializers that the node takes; `quantizers`: the nodes that make uint8, by their scales."""
    weight = next(entry for entry in entries if entry.form in _KINDS)
    factored = next((entry for entry in entries if entry.form in _SCALES), weight)
    source, image, static = node.input[0], False, False
    if node.op_type == "MatMulIntegerToFloat":  # its scale comes from where the floats became uint8
        quantizer = quantizers[node.input[2]]
        source, image, static = quantizer.input[0], node.input[0] != quantizer.output[0], quantizer.op_type == "QuantizeLinear"
    block = zero = 0
    if _KINDS[weight.form] == "nbits" and weight.shape is not None:
        bits = 8 if weight.form == "nbits8" else 4
        block, zero = weight.shape[2] * 8 // bits, 2 ** (bits - 1)
    return Product(
        kind=_KINDS[weight.form],
        paths=tuple(name.removesuffix(".weight") for name in weight.tensors),
        factors=factored.factors or (1.0,) * len(weight.tensors),
        source=source,
        output=node.output[0],
        has_bias=any(name.endswith(".bias") for entry in entries for name in entry.tensors),
        half=weight.form.startswith("half"),
        block=block,
        zero=zero,
        image=image,
        static=static,
    )
