"""The products of weights in a graph, and a copy of the graph that shows what goes into them and what comes out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from paredown.bundle.graph import Graph
from paredown.runtime.bundle_files import Initializer
from paredown.runtime.session import Graph as OpenGraph
from paredown.runtime.weights import Array

# Operator -> places of the weights, of what holds their factors, and of the bias among its inputs.
_PLACES: Mapping[str, tuple[int, int, int]] = {
    "Gemm": (1, 1, 2),
    "MatMul": (1, 1, -1),
    "DynamicQuantizeMatMul": (1, 2, 4),
    "MatMulIntegerToFloat": (1, 3, 6),
    "MatMulNBits": (1, 2, 5),
}


@dataclass(frozen=True)
class Product:
    """One product of a graph: the layers `paths` over one input, their outputs side by side, each times its factor.

    `source`: the value that is multiplied, in floats (of an unfolded int8 convolution the image that patches are taken of); `output`: the
    result, its bias inside where `has_bias`. `half`: weights and values are float16. `block`: weights to a scale, of MatMulNBits.
    """

    operator: str
    paths: tuple[str, ...]
    factors: tuple[float, ...]
    source: str
    output: str
    has_bias: bool
    half: bool = False
    block: int = 0


def find_products(graph: Graph) -> tuple[Product, ...]:
    """All products of weights, in the order in which the graph computes them."""
    initializers = {entry.name: entry for entry in graph.initializers}
    makers = {name: node for node in graph.model.graph.node for name in node.output}
    places = ((node, _PLACES[node.op_type]) for node in graph.model.graph.node if node.op_type in _PLACES)
    return tuple(_describe(node, initializers, makers) for node, (weight, _, _) in places if node.input[weight] in initializers)


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


def _describe(node: onnx.NodeProto, initializers: Mapping[str, Initializer], makers: Mapping[str, onnx.NodeProto]) -> Product:
    weight, factored, bias = _PLACES[node.op_type]
    entry = initializers[node.input[weight]]
    source = node.input[0]
    if node.op_type == "MatMulIntegerToFloat":  # its scale comes from where the floats became uint8
        source = makers[node.input[2]].input[0]
    block = next((attribute.i for attribute in node.attribute if attribute.name == "block_size"), 0)
    return Product(
        operator=node.op_type,
        paths=tuple(name.removesuffix(".weight") for name in entry.tensors),
        factors=initializers[node.input[factored]].factors or (1.0,) * len(entry.tensors),
        source=source,
        output=node.output[0],
        has_bias=bias >= 0 and len(node.input) > bias and node.input[bias] != "",
        half=entry.form.startswith("half"),
        block=block,
    )
