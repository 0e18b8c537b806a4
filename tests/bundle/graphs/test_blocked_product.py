"""MatMulNBits with and without rounded activations: what is left of the function when a session is open, and what it computes."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Tensor
from paredown.runtime import session as sessions
from paredown.runtime.session import SessionSettings
from tests.bundle.optimized import dumped
from tests.bundle.sessions import dense, make, shapes


def product(bits: int, inputs: int, bias: bool = True) -> tuple[Graph, dict[str, Tensor]]:
    rng = np.random.default_rng(1)
    tensors: dict[str, Tensor] = {"a.weight": quantize(rng.standard_normal((48, inputs)).astype(np.float32), bits)}
    tensors |= {"a.bias": rng.standard_normal(48).astype(np.float32)} if bias else {}
    builder = GraphBuilder("product", WeightLayout(shapes(tensors), {"a": "nbits"}, nbits={"a": bits}))
    builder.output(builder.linear(builder.input("x", ["rows", inputs]), "a"), "y", ["rows", 48])
    return builder.build(), tensors


def open_product(graph: Graph, tensors: dict[str, Tensor], rounding: bool, folder: Path) -> tuple[sessions.Graph, onnx.NodeProto]:
    """The graph in the runtime's session, and the one node that is left of it."""
    (folder / "product.onnx").write_bytes(graph.serialize())
    with dumped(folder / "optimized.onnx"):
        arrays = {entry.name: make(entry, tensors) for entry in graph.initializers}
        opened = sessions.Graph(folder / "product.onnx", arrays, SessionSettings(rounding=rounding))
    (node,) = onnx.load(folder / "optimized.onnx").graph.node
    return opened, node


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("inputs", [256, 40])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_session_chooses_whether_activations_are_rounded(bits: int, inputs: int, bias: bool, tmp_path: Path) -> None:
    graph, tensors = product(bits, inputs, bias)
    x = np.random.default_rng(2).standard_normal((20, inputs)).astype(np.float32)
    expected = x @ dense(tensors["a.weight"]).T + (tensors["a.bias"] if bias else 0.0)
    found = {}
    for rounding, level in ((True, 4), (False, 0)):
        opened, node = open_product(graph, tensors, rounding, tmp_path)
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        assert (node.op_type, attributes["accuracy_level"], attributes["bits"]) == ("MatMulNBits", level, bits)
        found[rounding] = np.abs(opened.run(["y"], {"x": x})[0] - expected).max() / np.abs(expected).max()
    assert found[False] < 1e-5  # float32 sums in another order
    assert 1e-3 < found[True] < 0.03  # activations in steps of 1/127 of the largest of a block


def test_products_of_one_size_share_a_function() -> None:
    tensors: dict[str, Tensor] = {f"{path}.weight": quantize(np.eye(8, dtype=np.float32), 4) for path in "abc"}
    tensors["c.bias"] = np.ones(8, np.float32)
    builder = GraphBuilder("three", WeightLayout(shapes(tensors), dict.fromkeys("abc", "nbits"), nbits=dict.fromkeys("abc", 4)))
    value = builder.input("x", ["rows", 8])
    for path in "abc":
        value = builder.linear(value, path)
    builder.output(value, "y", ["rows", 8])
    functions = [function.name for function in builder.build().model.functions]
    assert functions == ["Product8x8x4of32NoBias", "Product8x8x4of32"]
