"""What products must give, against onnxruntime's own kernels; and that a single wrong code, scale or bias is told from their rounding."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from paredown.bundle.parity.rounding import (
    Layer,
    multiply_blocks,
    multiply_codes,
    multiply_codes_saturating,
    multiply_floats,
    round_activations,
    round_to_range,
)
from paredown.compress.quantize import quantize
from paredown.runtime.ranges import to_steps

INPUT, OUT = 40, 24


def open_node(operator: str, inputs: dict[str, Any], outputs: dict[str, int], domain: str = "", **attributes: Any) -> Any:
    """A session of one node over x [rows, in]; `inputs` by name in order, None for one left out."""
    names = ["x", *(name if array is not None else "" for name, array in inputs.items())]
    node = helper.make_node(operator, names, list(outputs), domain=domain, **attributes)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in inputs.items() if array is not None]
    infos = [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs.items()]
    graph = helper.make_graph([node], "node", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "in"])], infos, tensors)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


ROUNDING = open_node("DynamicQuantizeLinear", {}, {"codes": TensorProto.UINT8, "scale": TensorProto.FLOAT, "zero": TensorProto.UINT8})


def make_layer(bits: int = 8, factor: float = 0.5, seed: int = 0) -> Layer:
    rng = np.random.default_rng(seed)
    weight = quantize(rng.standard_normal((OUT, INPUT)).astype(np.float32), bits)
    return Layer(weight, rng.standard_normal(OUT).astype(np.float32), factor)


def make_rows(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, INPUT)).astype(np.float32)


def run_int8(layer: Layer, x: np.ndarray) -> np.ndarray:
    inputs = {
        "codes": np.ascontiguousarray(layer.codes.T),
        "scales": layer.scales.astype(np.float32),
        "zeros": None,
        "bias": layer.shift.astype(np.float32),
    }
    session = open_node("DynamicQuantizeMatMul", inputs, {"y": TensorProto.FLOAT}, "com.microsoft")
    found: np.ndarray = session.run(None, {"x": x})[0]
    return found.astype(np.float64)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(-30, 30), st.floats(-3, 3))
def test_activations_round_as_onnxruntime_rounds_them(seed: int, rows: int, exponent: float, shift: float) -> None:
    x = ((np.random.default_rng(seed).standard_normal((rows, 33)) + shift) * 10.0**exponent).astype(np.float32)
    codes, scale, zero = ROUNDING.run(None, {"x": x})
    rounded = round_activations(x)
    np.testing.assert_array_equal(rounded.codes, codes)
    assert (rounded.scale, rounded.zero) == (float(scale), int(zero))


def quantize_linear(x: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    codes: np.ndarray = open_node("QuantizeLinear", {"scale": scale, "zero": zero}, {"codes": TensorProto.UINT8}).run(None, {"x": x})[0]
    return codes


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(-30, 30), st.floats(0, 3), st.floats(0, 3), st.booleans())
def test_static_ranges_round_as_onnxruntime_rounds_by_them(
    seed: int, rows: int, exponent: float, low: float, high: float, halves: bool
) -> None:
    """With numbers far outside of the range (normal ones, up to five times as large), and numbers halfway between two codes."""
    ranges = (np.array([[-low, high]]) * 10.0**exponent).astype(np.float32)
    scale, zero = to_steps(ranges)
    x = (5 * np.random.default_rng(seed).standard_normal((rows, 33)) * 10.0**exponent).astype(np.float32)
    if halves:
        x = ((np.rint(x / scale.clip(1e-30)) + np.float32(0.5)) * scale).astype(np.float32)
    rounded = round_to_range(x, float(ranges[0, 0]), float(ranges[0, 1]))
    assert (rounded.scale, rounded.zero) == (float(scale[0]), int(zero[0]))
    np.testing.assert_array_equal(rounded.codes, quantize_linear(x, scale, zero))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(-30, 30), st.floats(-3, 3))
def test_the_range_of_a_call_gives_what_the_dynamic_kernel_gives(seed: int, rows: int, exponent: float, shift: float) -> None:
    x = ((np.random.default_rng(seed).standard_normal((rows, 33)) + shift) * 10.0**exponent).astype(np.float32)
    codes, scale, zero = ROUNDING.run(None, {"x": x})
    rounded = round_to_range(x, min(x.min(), 0), max(x.max(), 0))
    np.testing.assert_array_equal(rounded.codes, codes)
    assert (rounded.scale, rounded.zero) == (float(scale), int(zero))


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.full((1, 4), 7.5), np.full((1, 4), -7.5), np.array([[0.5, 1.5, 2.5, 255.0]])])
def test_so_do_activations_at_the_edges(x: np.ndarray) -> None:
    codes, scale, zero = ROUNDING.run(None, {"x": x.astype(np.float32)})
    rounded = round_activations(x.astype(np.float32))
    np.testing.assert_array_equal(rounded.codes, codes)
    assert (rounded.scale, rounded.zero) == (float(scale), int(zero))


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_int8_products_are_onnxruntimes(rows: int) -> None:
    """On a processor that saturates, this test fails as the parity check does: its codes reach 127."""
    layer, x = make_layer(), make_rows(rows)
    rounded = round_activations(x)
    assert multiply_codes(rounded.codes, rounded, layer).excess(run_int8(layer, x)) < 1.0


def change_code(layer: Layer) -> Layer:
    codes = layer.weight.codes.copy()
    codes[7, 3] += 1 if codes[7, 3] < 100 else -1
    return replace(layer, weight=replace(layer.weight, codes=codes))


def change_scale(layer: Layer) -> Layer:
    scales = layer.weight.scales.copy()
    scales[5] *= np.float32(1.00001)
    return replace(layer, weight=replace(layer.weight, scales=scales))


def change_bias(layer: Layer) -> Layer:
    assert layer.bias is not None
    bias = layer.bias.copy()
    bias[2] += np.float32(1e-5)
    return replace(layer, bias=bias)


@pytest.mark.parametrize("change", [change_code, change_scale, change_bias])
def test_the_smallest_fault_is_not_taken_for_rounding(change: Any) -> None:
    layer, x = make_layer(), make_rows(10)
    rounded = round_activations(x)
    assert multiply_codes(rounded.codes, rounded, layer).excess(run_int8(change(layer), x)) > 1.0


def test_a_nan_is_not_taken_for_rounding() -> None:
    layer, x = make_layer(), make_rows(2)
    expected = multiply_floats(x.astype(np.float64), layer)
    assert expected.excess(np.where(np.eye(2, OUT) > 0, np.nan, expected.values)) == np.inf


def run_nbits(layer: Layer, x: np.ndarray, block: int) -> np.ndarray:
    """Codes of up to 4 bits lie in 4, wider ones in 8."""
    width = 4 if layer.weight.bits <= 4 else 8
    (out, size), half = layer.codes.shape, 2 ** (width - 1)
    blocks = -(-size // block)
    padded = np.full((out, blocks * block), half, np.uint8)
    padded[:, :size] = layer.codes.astype(np.int16) + half
    packed = padded if width == 8 else padded[:, 0::2] | (padded[:, 1::2] << 4)
    inputs = {
        "codes": packed.reshape(out, blocks, -1),
        "scales": np.repeat(layer.scales.astype(np.float32)[:, None], blocks, axis=1),
        "zeros": None,
        "groups": None,
        "bias": layer.shift.astype(np.float32),
    }
    sizes = {"K": size, "N": out, "bits": width, "block_size": block, "accuracy_level": 4}
    session = open_node("MatMulNBits", inputs, {"y": TensorProto.FLOAT}, "com.microsoft", **sizes)
    found: np.ndarray = session.run(None, {"x": x})[0]
    return found.astype(np.float64)


def nbits_excess(layer: Layer, x: np.ndarray, found: np.ndarray, block: int) -> float:
    """Where the processor has no int8 kernel for it, the operator multiplies the floats."""
    numbers, zero = x.astype(np.float64), 8 if layer.weight.bits <= 4 else 128
    return min(multiply_blocks(numbers, layer, block, zero).excess(found), multiply_floats(numbers, layer).excess(found))


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize(("bits", "block"), [(4, 32), (8, 32), (4, 16), (8, 64)])
def test_blocked_products_are_onnxruntimes(bits: int, block: int, rows: int) -> None:
    layer, x = make_layer(bits), make_rows(rows)
    assert nbits_excess(layer, x, run_nbits(layer, x, block), block) < 1.0


def make_long(size: int, bits: int) -> tuple[Layer, np.ndarray]:
    """Activations as swish leaves them, mostly of one sign: sums of stored codes are far larger than what they amount to."""
    rng = np.random.default_rng(size + bits)
    weight = quantize(rng.standard_normal((OUT, size)).astype(np.float32), bits)
    x = 3 * rng.standard_normal((40, size))
    return Layer(weight, rng.standard_normal(OUT).astype(np.float32), 0.5), (x / (1 + np.exp(-x))).astype(np.float32)


LONG = [(size, bits, block) for size in (960, 1500) for bits, block in ((3, 32), (4, 32), (4, 128), (5, 32), (8, 32), (8, 128))]


@pytest.mark.parametrize(("size", "bits", "block"), LONG)
def test_long_blocked_products_are_onnxruntimes(size: int, bits: int, block: int) -> None:
    layer, x = make_long(size, bits)
    assert nbits_excess(layer, x, run_nbits(layer, x, block), block) < 1.0


def change_scale_more(layer: Layer) -> Layer:
    scales = layer.weight.scales.copy()
    scales[5] *= np.float32(1.001)
    return replace(layer, weight=replace(layer.weight, scales=scales))


def swap_inputs(layer: Layer) -> Layer:
    """Two columns of the matrix in each other's place."""
    codes = layer.weight.codes.copy()
    codes[:, [0, 1]] = codes[:, [1, 0]]
    return replace(layer, weight=replace(layer.weight, codes=codes))


def change_one_code(layer: Layer) -> Layer:
    codes = layer.weight.codes.copy()
    codes[7, 3] += 1 if codes[7, 3] < 1 else -1
    return replace(layer, weight=replace(layer.weight, codes=codes))


@pytest.mark.parametrize("change", [change_one_code, change_scale_more, swap_inputs])
@pytest.mark.parametrize(("size", "bits", "block"), LONG)
def test_no_fault_is_taken_for_the_rounding_of_long_rows(size: int, bits: int, block: int, change: Any) -> None:
    layer, x = make_long(size, bits)
    assert nbits_excess(layer, x, run_nbits(change(layer), x, block), block) > 1.0


def test_a_tied_activation_may_be_rounded_either_way() -> None:
    layer = make_layer(4)
    x = np.zeros((1, INPUT))
    x[0, :3] = 127, 2.5 * (1 + 1e-7), 7.4
    expected = multiply_blocks(x, layer, 32, 8)
    step = layer.dense[:, 1]
    assert max(expected.excess(expected.values + step), expected.excess(expected.values - step)) < 1.0
    assert expected.excess(expected.values + 2 * step) > 1.0
    assert expected.excess(expected.values + layer.dense[:, 2]) > 1.0  # 7.4 is no tie


def test_saturating_products_cut_pairs_at_16_bits() -> None:
    rng = np.random.default_rng(0)
    weight = quantize(np.sign(rng.standard_normal((4, 7))).astype(np.float32), 8)  # codes of -127 and 127
    layer, x = Layer(weight, None, 1.0), np.abs(rng.standard_normal((3, 7))).astype(np.float32) + 2
    rounded = round_activations(x)
    expected = np.zeros((3, 4))
    for row in range(3):
        for out in range(4):
            products = [int(code) * int(weight.codes[out, k]) for k, code in enumerate(rounded.codes[row])]
            pairs = [max(-32768, min(32767, sum(products[k : k + 2]))) for k in range(0, 6, 2)]
            total = sum(pairs) + products[6] - rounded.zero * int(weight.codes[out].sum())
            expected[row, out] = total * rounded.scale * float(weight.scales[out])
    np.testing.assert_allclose(multiply_codes_saturating(rounded.codes, rounded, layer), expected, rtol=1e-12)
    assert np.abs(expected - multiply_codes(rounded.codes, rounded, layer).values).max() > 0.1
