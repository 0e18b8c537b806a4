"""The graph builder: products of every kernel against NumPy, joint layers, and graphs that hold no weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.kernels import nbits_width
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Initializer
from paredown.space.configuration import Kernel
from tests.bundle.sessions import count_operators, dense, open_session, run, shapes

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
    return laid_out_graph(WeightLayout(shapes(tensors), dict.fromkeys(int8, "int8")), *paths, factors=factors)


def laid_out_graph(layout: WeightLayout, *paths: str, factors: tuple[float, ...] | None = None, rank: int = 2) -> Graph:
    builder = GraphBuilder("linear", layout)
    inputs = layout.shapes[f"{paths[0]}.weight"][1]
    x = builder.input("x", ["rows", inputs] if rank == 2 else ["batch", "rows", inputs])
    units = sum(builder.layout.outputs(path) for path in paths)
    builder.output(builder.linear(x, *paths, factors=factors, rank=rank), "y", ["rows", units] if rank == 2 else ["batch", "rows", units])
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
    builder = GraphBuilder("quantized", WeightLayout(shapes(tensors), {"a": "int8"}))
    builder.output(builder.quantized_linear(builder.quantize(builder.input("x", ["rows", 8]), "a"), "a"), "y", ["rows", 6])
    x = RNG.standard_normal((5, 8)).astype(np.float32)  # both signs, so that the zero point is not 0
    (y,) = run(builder.build(), tensors, {"x": x})
    np.testing.assert_allclose(y, expected_linear(x, tensors, "a"), atol=3e-5)


RANGES = np.array([[-1.5, 1.0]], np.float32)  # narrower than what the layers read: numbers are cut off


def static_layout(tensors: dict[str, Tensor], kernels: dict[str, Kernel]) -> WeightLayout:
    return WeightLayout(shapes(tensors), kernels, static=True)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_static_products_round_by_a_range_that_is_given(bias: bool, rank: int) -> None:
    """Rows do not change each other's results: one with a large number neither."""
    tensors = tensors_of(("a", "b", "c"), bias)
    graph = laid_out_graph(static_layout(tensors, dict.fromkeys("abc", "int8")), "a", "b", "c", factors=(1.0, 0.5, -3.0), rank=rank)
    assert graph.ranges == ("a",)
    assert count_operators(graph.model) == {"Split": 2, "QuantizeLinear": 1, "MatMulIntegerToFloat": 1}
    x = RNG.standard_normal((6, 8)).astype(np.float32)
    x[2] *= 100
    given = tensors | {"linear.input_ranges": RANGES}
    (y,) = run(graph, given, {"x": x if rank == 2 else x.reshape(2, 3, 8)})
    step = np.float32(2.5) / np.float32(255)
    zero = np.rint(np.float32(1.5) / step)
    rounded = (np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step
    parts = zip("abc", (1.0, 0.5, -3.0), strict=True)
    expected = [factor * (rounded @ dense(tensors[f"{path}.weight"]).T + tensors.get(f"{path}.bias", 0.0)) for path, factor in parts]
    np.testing.assert_allclose(y.reshape(6, -1), np.hstack(expected), atol=3e-5)
    (alone,) = run(graph, given, {"x": x[:1] if rank == 2 else x[None, :1]})
    np.testing.assert_array_equal(alone.reshape(-1), y.reshape(6, -1)[0])


def test_a_value_is_quantized_once_for_all_that_read_it() -> None:
    tensors = tensors_of(("a", "c"))
    graph = laid_out_graph(static_layout(tensors, {"a": "int8", "c": "int8"}), "a", "b", "c")
    assert graph.ranges == ("a",)
    assert count_operators(graph.model) == {"Split": 2, "QuantizeLinear": 1, "MatMulIntegerToFloat": 2, "Gemm": 1, "Concat": 1}


def test_onnxruntime_takes_the_ranges_apart_when_it_loads_the_graph(tmp_path: Path) -> None:
    tensors = tensors_of(("a", "c"))
    layout = static_layout(tensors, {"a": "int8", "c": "int8"})
    builder = GraphBuilder("two", layout)
    x, z = (builder.input(name, ["rows", 8]) for name in "xz")
    builder.output(builder.node("Add", [builder.linear(x, "a"), builder.linear(z, "c")]), "y", ["rows", 6])
    graph = builder.build()
    assert graph.ranges == ("a", "c")
    given = tensors | {"two.input_ranges": np.repeat(RANGES, 2, axis=0)}
    open_session(graph, given, tmp_path / "optimized.onnx")
    assert count_operators(onnx.load(tmp_path / "optimized.onnx")) == {"QuantizeLinear": 2, "MatMulIntegerToFloat": 2, "Add": 1}


def test_layers_of_one_kernel_make_one_product() -> None:
    names = ("a", "b", "c")
    assert count_operators(linear_graph(tensors_of(), (), *names).model) == {"Gemm": 1}
    assert count_operators(linear_graph(tensors_of(names), names, *names).model) == {"DynamicQuantizeMatMul": 1}
    assert count_operators(linear_graph(tensors_of(("b",)), ("b",), *names).model) == {"Gemm": 2, "DynamicQuantizeMatMul": 1, "Concat": 1}


def test_only_adjacent_layers_of_one_kernel_are_joined() -> None:
    tensors = tensors_of(("a", "b"))
    graph = linear_graph(tensors, ("a", "b"), "a", "b", "c")
    assert count_operators(graph.model) == {"DynamicQuantizeMatMul": 1, "Gemm": 1, "Concat": 1}
    x = RNG.standard_normal((5, 8)).astype(np.float32)
    (y,) = run(graph, tensors, {"x": x})
    np.testing.assert_allclose(y, np.hstack([expected_linear(x, tensors, path) for path in "abc"]), atol=3e-5)


def blocked_tensors(inputs: int, bits: dict[str, int], granularity: str, pointwise: bool) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    tensors: dict[str, Tensor] = {}
    for path, width in bits.items():
        shape = (5 + width, inputs, 1) if pointwise else (5 + width, inputs)
        tensors[f"{path}.weight"] = quantize(rng.standard_normal(shape).astype(np.float32), width, granularity)
        tensors[f"{path}.bias"] = rng.standard_normal(5 + width).astype(np.float32)
    return tensors


def exact_activations(rows: int, inputs: int, block: int) -> np.ndarray:
    """Whole numbers of which the largest of every block is 127: MatMulNBits quantizes them without an error."""
    x = np.random.default_rng(1).integers(-127, 128, (rows, inputs)).astype(np.float32)
    x[:, ::block] = 127.0
    return x


@pytest.mark.parametrize(("inputs", "block"), [(64, 32), (40, 32), (17, 16), (24, 128)], ids=["whole", "padded", "by one", "one block"])
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("granularity", "pointwise", "rank"), [("channel", False, 2), ("tensor", True, 3)])
def test_a_product_of_blocks_is_that_of_the_codes(inputs: int, block: int, bits: int, granularity: str, pointwise: bool, rank: int) -> None:
    tensors = blocked_tensors(inputs, {"a": bits}, granularity, pointwise)
    layout = WeightLayout(shapes(tensors), {"a": "nbits"}, nbits={"a": nbits_width(bits)}, block=block)
    x = exact_activations(6, inputs, block)
    (y,) = run(laid_out_graph(layout, "a", rank=rank), tensors, {"x": x if rank == 2 else x.reshape(2, 3, inputs)})
    expected = x @ dense(tensors["a.weight"]).reshape(-1, inputs).T + tensors["a.bias"]
    # Sums of whole numbers are exact; each block's is scaled and added in float32.
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_layers_of_one_width_share_a_product_of_blocks() -> None:
    bits = {"a": 3, "b": 4, "c": 5}
    tensors = blocked_tensors(40, bits, "channel", False)
    layout = WeightLayout(shapes(tensors), dict.fromkeys(bits, "nbits"), nbits={path: nbits_width(width) for path, width in bits.items()})
    factors = (1.0, 0.5, -3.0)
    graph = laid_out_graph(layout, *bits, factors=factors)
    assert count_operators(graph.model) == {"Product40x17x4of32": 1, "Product40x10x8of32": 1, "Concat": 1}
    x = exact_activations(3, 40, 32)
    (y,) = run(graph, tensors, {"x": x})
    parts = [
        factor * (x @ dense(tensors[f"{path}.weight"]).T + tensors[f"{path}.bias"]) for path, factor in zip(bits, factors, strict=True)
    ]
    np.testing.assert_allclose(y, np.hstack(parts), rtol=1e-5, atol=1e-5 * np.abs(parts[0]).max())


def test_blocks_round_activations_block_by_block() -> None:
    """An outlier in one block costs the others nothing; in the dynamic int8 product it costs all of them."""
    tensors = blocked_tensors(64, {"a": 8}, "channel", False)
    x = RNG.standard_normal((4, 64)).astype(np.float32)
    x[0, 0] = 1000.0  # its own block, of its own row
    exact = x @ dense(tensors["a.weight"]).T + tensors["a.bias"]
    errors = {}
    for kernel in ("nbits", "int8"):
        layout = WeightLayout(shapes(tensors), {"a": kernel}, nbits={"a": 8} if kernel == "nbits" else {})
        (y,) = run(laid_out_graph(layout, "a"), tensors, {"x": x})
        errors[kernel] = np.abs(y - exact)[1:].max()
    assert errors["nbits"] < 0.2  # 64 products of activations that are 0.01 off at most
    assert errors["int8"] > 1.0  # activations are 2 off


def test_a_scale_for_the_whole_tensor_is_spread_over_its_channels() -> None:
    tensors = tensors_of(("a",), granularity="tensor")
    assert tensors["a.weight"].scales.shape == (1,)
    x = RNG.standard_normal((5, 8)).astype(np.float32)
    (y,) = run(linear_graph(tensors, ("a",), "a"), tensors, {"x": x})
    np.testing.assert_allclose(y, expected_linear(x, tensors, "a"), atol=3e-5)


@pytest.mark.parametrize("kernel", ["fp32", "int8", "nbits"])
def test_embedding_rows_are_the_dequantized_ones_times_the_factor(kernel: Kernel) -> None:
    weight = RNG.standard_normal((11, 4)).astype(np.float32)
    tensors = {"embed.weight": weight if kernel == "fp32" else quantize(weight, 6)}
    builder = GraphBuilder("embedding", WeightLayout(shapes(tensors), {"embed": kernel}))
    ids = builder.input("ids", ["rows"], 7)
    builder.output(builder.embedding(ids, "embed", 1.7), "y", ["rows", 4])
    chosen = np.array([3, 0, 10, 3])
    graph = builder.build()
    assert count_operators(graph.model)["Gather"] == (1 if kernel == "fp32" else 2)
    (y,) = run(graph, tensors, {"ids": chosen})
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
