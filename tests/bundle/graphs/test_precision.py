"""Half precision: where casts stand, what stays in fp32, and that every structure computes what it computes in fp32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import paredown.bundle.graphs.precision as precision
from paredown.bundle.graphs.architecture import read_architecture
from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.positions import encode_positions
from paredown.bundle.pack import Stored
from paredown.bundle.storage import BundleParts, assemble
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Tensor
from paredown.errors import BadInput
from paredown.runtime.decoder import DecoderSteps
from paredown.space.configuration import Configuration, Kernel, Scheme
from tests.bundle.sessions import count_operators, dense, make, open_session, run, shapes

torch = pytest.importorskip("torch")

from paredown.compress.network import compress_model, state_of  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.bundle.parity.test_gate import STRUCTURES  # noqa: E402

HALF = Scheme(kernel="fp16")


def assembled(model: Any, configuration: Configuration, fp32: bool = False) -> BundleParts:
    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    return assemble(architecture, model.inventory(), state_of(model), compress_model(model, configuration), fp32=fp32)


def random_tensors() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    made: dict[str, Tensor] = {f"{path}.weight": rng.standard_normal((6, 6)).astype(np.float32) for path in "abc"}
    return made | {f"{path}.bias": rng.standard_normal(6).astype(np.float32) for path in "abc"}


def chain(tensors: Mapping[str, Tensor], kernels: dict[str, Kernel], half: bool) -> Graph:
    """c(b(a(x)))."""
    builder = GraphBuilder("chain", WeightLayout(shapes(tensors), kernels, half=half, nbits=dict.fromkeys(kernels, 8)))
    value = builder.input("x", ["rows", 6])
    for path in "abc":
        value = builder.linear(value, path)
    builder.output(value, "y", ["rows", 6])
    return builder.build()


def rounded_product(x: np.ndarray, tensors: Mapping[str, Tensor], path: str, half: bool) -> np.ndarray:
    kind = np.float16 if half else np.float32
    product = x.astype(kind).astype(np.float32) @ dense(tensors[f"{path}.weight"]).astype(kind).astype(np.float32).T
    return (product + dense(tensors[f"{path}.bias"]).astype(kind)).astype(kind).astype(np.float32)


@pytest.mark.parametrize("half", [False, True], ids=["in fp32", "in fp16"])
@pytest.mark.parametrize("other", "abc")
def test_a_layer_computes_in_the_type_of_its_weights(half: bool, other: str) -> None:
    """One layer of three in the other precision; the graph's inputs and outputs are float32 in any case."""
    tensors = random_tensors()
    graph = chain(tensors, {other: "fp32" if half else "fp16"}, half)
    x = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    (y,) = run(graph, tensors, {"x": x})
    expected = x
    for path in "abc":
        expected = rounded_product(expected, tensors, path, half != (path == other))
    assert y.dtype == np.float32
    assert {info.type.tensor_type.elem_type for info in (*graph.model.graph.input, *graph.model.graph.output)} == {TensorProto.FLOAT}
    np.testing.assert_allclose(y, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())  # a few roundings to 11 bits
    full = run(chain(tensors, {}, False), tensors, {"x": x})[0]
    assert np.abs(y - full).max() > 1e-5  # and something was rounded


def test_casts_stand_only_where_types_meet() -> None:
    tensors = random_tensors()
    assert count_operators(chain(tensors, {}, True).model) == {"Cast": 2, "Gemm": 3}
    assert count_operators(chain(tensors, {"b": "fp16"}, False).model) == {"Cast": 2, "Gemm": 3}
    assert count_operators(chain(tensors, {"b": "fp32"}, True).model) == {"Cast": 4, "Gemm": 3}


@pytest.mark.parametrize("kernel", ["int8", "nbits"])
def test_products_of_codes_stay_in_fp32(kernel: Kernel) -> None:
    tensors = random_tensors()
    tensors["b.weight"] = quantize(dense(tensors["b.weight"]), 8)
    x = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
    (y,) = run(chain(tensors, {"b": kernel}, True), tensors, {"x": x})
    (expected,) = run(chain(tensors, {"b": kernel}, False), tensors, {"x": x})
    np.testing.assert_allclose(y, expected, rtol=0.05, atol=0.02 * np.abs(expected).max())  # a step of int8 activations may flip


def test_positions_stay_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    def encoded() -> np.ndarray:
        builder = GraphBuilder("positions", WeightLayout({}, half=True))
        value = encode_positions(builder, builder.input("places", ["n"], TensorProto.INT64), 8)
        builder.output(builder.node("Relu", [value]), "y", ["n", 8])
        return run(builder.build(), {}, {"places": np.array([2047, 4001, 9999])})[0]

    angles = np.array([2047, 4001, 9999])[:, None] / 10_000 ** (np.arange(0, 8, 2) / 8)
    expected = np.maximum(np.stack([np.sin(angles), np.cos(angles)], 2).reshape(3, 8), 0)
    np.testing.assert_allclose(encoded(), expected, atol=1e-3)
    monkeypatch.setattr(precision, "_EXACT", frozenset())
    monkeypatch.setattr(precision._Placer, "_type_of", lambda self, node, floats, weights: TensorProto.FLOAT16)
    assert np.abs(encoded() - expected).max() > 0.1


def test_very_negative_constants_stay_finite() -> None:
    builder = GraphBuilder("mask", WeightLayout({"norm.weight": (2,)}, half=True))
    x = builder.node("Mul", [builder.input("x", [2]), builder.parameter("norm.weight")])
    builder.output(builder.node("Add", [x, builder.constant([-1e30, 0.0], np.float32)]), "y", [2])
    (y,) = run(builder.build(), {"norm.weight": np.ones(2, np.float32)}, {"x": np.ones(2, np.float32)})
    assert y.tolist() == [pytest.approx(-65504.0, abs=1), 1.0]


def test_two_types_of_weights_in_one_node_are_refused() -> None:
    builder = GraphBuilder("two", WeightLayout({"a.weight": (2,), "b.weight": (2,)}, {"a": "fp32", "b": "fp16"}))
    builder.output(builder.node("Add", [builder.parameter("a.weight"), builder.parameter("b.weight")]), "y", [2])
    with pytest.raises(ValueError, match="weights of one node must have one type"):
        builder.build()


class Opened:
    """What `DecoderSteps` wants of a graph."""

    def __init__(self, graph: Graph, tensors: Mapping[str, Stored]) -> None:
        self.session = open_session(graph, tensors)
        self.inputs = {info.name: info.shape for info in self.session.get_inputs()}

    def put(self, array: np.ndarray) -> np.ndarray:
        return array

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Sequence[str] = ()) -> list[np.ndarray]:
        return list(self.session.run(list(outputs), dict(inputs)))


def two_steps(parts: BundleParts, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encoder states, and log posteriors [3, tokens] behind two tokens of three hypotheses."""
    states, keys, values = Opened(parts.encoder, parts.tensors).run(["encoder_out", "memory_keys", "memory_values"], {"features": features})
    steps = DecoderSteps(Opened(parts.decoder, parts.tensors), keep_log_probs=True)  # type: ignore[arg-type]
    steps.listen(keys, values)
    steps.start()
    steps.step(np.array([7]), 0, np.array([0]), 2)
    steps.step(np.array([5, 6, 3]), 1, np.zeros(3, np.int64), 2)
    return states, np.stack([steps.log_probs_of(token) for token in range(8)], axis=1)


@pytest.mark.parametrize("structure", sorted(STRUCTURES))
def test_every_structure_computes_the_same_in_half_precision(structure: str) -> None:
    encoder, conf = STRUCTURES[structure]
    decoder = {"normalize_before": conf.get("normalize_before", True), "concat_after": conf.get("concat_after", False)}
    model = make_model(encoder, decoder, **conf)
    features = np.random.default_rng(0).standard_normal((300, model.frontend.n_mels)).astype(np.float32)
    half, full = (two_steps(assembled(model, Configuration(scheme=Scheme(kernel=kernel))), features) for kernel in ("fp16", "fp32"))
    for got, expected in zip(half, full, strict=True):
        # Roundings to 11 bits through some thirty nodes, of numbers near one (normalized states) and near ten (log posteriors).
        assert 1e-6 < np.abs(got - expected).max() < 0.05
    assert np.abs(np.exp(half[1]).sum(axis=-1) - 1).max() < 1e-5  # the softmax over tokens is exact


def test_a_half_bundle_stores_no_float32_and_widens_what_must_be_exact() -> None:
    parts = assembled(shared_model(), Configuration(scheme=HALF))
    assert {tensor.dtype for tensor in parts.tensors.values()} == {np.dtype(np.float16)}
    for graph in (parts.encoder, parts.decoder):
        types = {tensor.name: tensor.data_type for tensor in graph.model.graph.initializer if tensor.data_location == TensorProto.EXTERNAL}
        wide = {name for name, dtype in types.items() if dtype == TensorProto.FLOAT}
        assert wide == {name for name in types if "norm" in name or "output_layer" in name}
        assert set(types.values()) == {TensorProto.FLOAT, TensorProto.FLOAT16}
        assert {make(entry, parts.tensors).dtype.itemsize for entry in graph.initializers if entry.name not in wide} == {2}
    exact = assembled(shared_model(), Configuration(scheme=HALF), fp32=True)
    assert {tensor.dtype for tensor in exact.tensors.values()} == {np.dtype(np.float32)}  # for the parity check


def test_quantized_layers_of_a_half_bundle_are_stored_as_codes() -> None:
    layers = shared_model().inventory().layers
    parts = assembled(shared_model(), Configuration(bits=tuple((layer.path, 4) for layer in layers), scheme=HALF))
    kinds = {getattr(tensor, "bits", None) or str(tensor.dtype) for tensor in parts.tensors.values()}
    assert kinds == {4, "float16"}
    assert not {"DynamicQuantizeMatMul", "MatMulNBits"} & set(count_operators(parts.encoder.model))


def test_a_weight_beyond_half_precision_is_refused_by_name() -> None:
    model = make_model()
    with torch.no_grad():
        model.network.decoder.output_layer.weight[3, 4] = 7e4
    with pytest.raises(BadInput, match=r"half precision takes weights of at most 65504, got 7e\+04 in decoder.output_layer.weight"):
        assembled(model, Configuration(scheme=HALF))
