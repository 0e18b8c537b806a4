"""The graph builder: products in fp32 and int8 against NumPy, joint layers, and graphs that hold no weights."""

import numpy as np
import pytest

from paredown.bundle.graph import Graph, GraphBuilder, WeightLayout
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Initializer
from tests.bundle.sessions import count_operators, dense, run, shapes

RNG = np.random.default_rng(7)


def tensors_of(int8: tuple[str, ...] = (), bias: bool = True, granularity: str = "channel") -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    tensors: dict[str, Tensor] = {}
    for path, units in (("a", 6), ("b", 3), ("c", 6)):
        weight = rng.standard_normal((units, 8)).astype(np.float32)
        tensors[f"{path}.weight"] = quantize(weight, 5, granularity) if path in int8 else weight
        if bias:
            tensors[f"{path}.bias"] = rng.standard_normal(units).astype(np.float32)
    return tensors


def linear_graph(tensors: dict[str, Tensor], int8: tuple[str, ...], *paths: str, factors: tuple[float, ...] | None = None) -> Graph:
    builder = GraphBuilder("linear", WeightLayout(shapes(tensors), frozenset(int8)))
    x = builder.input("x", ["rows", 8])
    units = sum(builder.layout.outputs(path) for path in paths)
    builder.output(builder.linear(x, *paths, factors=factors), "y", ["rows", units])
    return builder.build()


def rounded_activations(x: np.ndarray) -> np.ndarray:
    """What the dynamic int8 product makes of its input: 256 levels over the range of the whole call, zero included."""
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale


def expected_linear(x: np.ndarray, tensors: dict[str, Tensor], path: str, factor: float = 1.0) -> np.ndarray:
    rounded = rounded_activations(x) if isinstance(tensors[f"{path}.weight"], Quantized) else x
    return factor * (rounded @ dense(tensors[f"{path}.weight"]).T + tensors.get(f"{path}.bias", 0.0))


@pytest.mark.parametrize("int8", [(), ("a", "b", "c"), ("b",)], ids=["fp32", "int8", "mixed"])
@pytest.mark.parametrize("bias", [True, False])
def test_joint_layers_give_their_outputs_side_by_side(int8: tuple[str, ...], bias: bool) -> None:
    tensors = tensors_of(int8, bias)
    x = RNG.standard_normal((5, 8)).astype(np.float32)
    (y,) = run(linear_graph(tensors, int8, "a", "b", "c", factors=(1.0, 0.5, -3.0)), tensors, {"x": x})
    parts = zip(("a", "b", "c"), (1.0, 0.5, -3.0), strict=True)
    # Float32 sums of eight products; the int8 sums are exact, only their scaling rounds.
    np.testing.assert_allclose(y, np.hstack([expected_linear(x, tensors, path, factor) for path, factor in parts]), atol=3e-5)


def test_a_product_of_quantized_activations_minds_their_zero_point() -> None:
    tensors = tensors_of(("a",))
    builder = GraphBuilder("quantized", WeightLayout(shapes(tensors), frozenset({"a"})))
    codes, scale, zero = builder.node_outputs("DynamicQuantizeLinear", [builder.input("x", ["rows", 8])], 3)
    builder.output(builder.quantized_linear(codes, scale, zero, "a"), "y", ["rows", 6])
    x = RNG.standard_normal((5, 8)).astype(np.float32)  # both signs, so that the zero point is not 0
    (y,) = run(builder.build(), tensors, {"x": x})
    np.testing.assert_allclose(y, expected_linear(x, tensors, "a"), atol=3e-5)


def test_layers_of_one_kernel_make_one_product() -> None:
    names = ("a", "b", "c")
    assert count_operators(linear_graph(tensors_of(), (), *names).model) == {"Gemm": 1}
    assert count_operators(linear_graph(tensors_of(names), names, *names).model) == {"DynamicQuantizeMatMul": 1}
    assert count_operators(linear_graph(tensors_of(("b",)), ("b",), *names).model) == {"Gemm": 2, "DynamicQuantizeMatMul": 1, "Concat": 1}


def test_a_scale_for_the_whole_tensor_is_spread_over_its_channels() -> None:
    tensors = tensors_of(("a",), granularity="tensor")
    assert tensors["a.weight"].scales.shape == (1,)
    x = RNG.standard_normal((5, 8)).astype(np.float32)
    (y,) = run(linear_graph(tensors, ("a",), "a"), tensors, {"x": x})
    np.testing.assert_allclose(y, expected_linear(x, tensors, "a"), atol=3e-5)


@pytest.mark.parametrize("int8", [(), ("embed",)], ids=["fp32", "int8"])
def test_embedding_rows_are_the_dequantized_ones_times_the_factor(int8: tuple[str, ...]) -> None:
    weight = RNG.standard_normal((11, 4)).astype(np.float32)
    tensors = {"embed.weight": quantize(weight, 6) if int8 else weight}
    builder = GraphBuilder("embedding", WeightLayout(shapes(tensors), frozenset(int8)))
    ids = builder.input("ids", ["rows"], 7)
    builder.output(builder.embedding(ids, "embed", 1.7), "y", ["rows", 4])
    chosen = np.array([3, 0, 10, 3])
    (y,) = run(builder.build(), tensors, {"ids": chosen})
    np.testing.assert_allclose(y, 1.7 * dense(tensors["embed.weight"])[chosen], rtol=3e-7)  # two float32 roundings


def test_a_graph_holds_no_weights_and_is_the_same_each_time() -> None:
    tensors = tensors_of()
    first, second = (linear_graph(tensors, (), "a", "b", "c") for _ in range(2))
    assert first.serialize() == second.serialize()
    assert first.initializers == second.initializers
    assert {tensor.data_location for tensor in first.model.graph.initializer} == {1}  # 1 = external
    assert not any(tensor.raw_data for tensor in first.model.graph.initializer)


def test_one_name_for_two_weights_is_refused() -> None:
    builder = GraphBuilder("clash", WeightLayout({"a.weight": (2, 3)}))
    builder.parameter("a.weight")
    builder.parameter("a.weight")  # the same again is one initializer
    with pytest.raises(ValueError, match=r"share the name a\.weight"):
        builder.parameter("a.weight", (6,))
    assert builder.build().initializers == (Initializer("a.weight", "float", ("a.weight",)),)


def test_constants_of_equal_beginning_are_told_apart() -> None:
    builder = GraphBuilder("constants", WeightLayout({}))
    long, other = list(range(20)), [*range(19), 99]
    assert builder.constant(long) == builder.constant(long) != builder.constant(other)
    assert builder.constant([1]) != builder.constant(1) != builder.constant(1, np.float32)
