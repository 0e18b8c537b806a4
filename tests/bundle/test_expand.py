"""Weights inside a graph: onnxruntime expands them to the arrays that the runtime makes of the same tensors, bit for bit."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from paredown.bundle.expand import _pack, fill_graph
from paredown.bundle.pack import Stored, pack
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized
from paredown.runtime.bundle_files import Initializer, TensorRecord
from paredown.runtime.weights import Weights

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}


def expand(tensors: dict[str, Stored], wanted: list[Initializer]) -> tuple[list[np.ndarray], list[np.ndarray], onnx.ModelProto]:
    """The weights as onnxruntime computes them, as the runtime makes them, and the graph that holds them."""
    packed = pack(tensors)
    records: dict[str, TensorRecord] = {record.name: record for record in packed.records}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.bin"
        path.write_bytes(packed.data)
        weights = Weights(path, packed.records)
        expected = list(weights.initializers(tuple(wanted)).values())
        outputs = [helper.make_tensor_value_info(f"out{i}", TYPES[str(array.dtype)], None) for i, array in enumerate(expected)]
        nodes = [helper.make_node("Identity", [entry.name], [f"out{i}"]) for i, entry in enumerate(wanted)]
        external = [TensorProto(name=entry.name, data_type=1, dims=[1], data_location=TensorProto.EXTERNAL) for entry in wanted]
        graph = helper.make_graph(nodes, "g", [], outputs, external)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        fill_graph(model, wanted, weights, records)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {}), expected, model


def check(tensors: dict[str, Stored], *wanted: Initializer) -> onnx.ModelProto:
    found, expected, model = expand(tensors, list(wanted))
    for entry, one, other in zip(wanted, found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, err_msg=entry.name)
    return model


def weight(*shape: int, bits: int | None, kept: float = 1.0, granularity: str = "channel", seed: int = 0) -> Stored:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape).astype(np.float32)
    return values if bits is None else quantize(values, bits, granularity, rng.random(shape) < kept if kept < 1 else None)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    bits=st.integers(2, 8),
    rows=st.integers(1, 9),
    columns=st.integers(1, 21),
    kept=st.sampled_from((1.0, 0.5, 0.1, 0.0)),
    form=st.sampled_from(("codes", "codes_transposed", "float", "float_transposed", "half", "half_transposed", "scales", "scales_column")),
    granularity=st.sampled_from(("channel", "tensor")),
    seed=st.integers(0, 99),
)
def test_every_width_size_and_form(bits: int, rows: int, columns: int, kept: float, form: str, granularity: str, seed: int) -> None:
    tensors = {"a": weight(rows, columns, bits=bits, kept=kept, granularity=granularity, seed=seed)}
    check(tensors, Initializer("w", form, ("a",)))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["float", "float_transposed", "half", "half_transposed", "codes", "codes_transposed", "scales"])
def test_tensors_of_different_widths_join(form: str) -> None:
    bits = (3, 8, 5, 2) if form.startswith(("codes", "scales")) else (3, None, 8, 2)
    tensors = {
        name: weight(5 + place, 11, bits=bits[place], kept=0.3 if name == "c" else 1.0, seed=place) for place, name in enumerate("abcd")
    }
    factors = () if form.startswith("codes") else (1.0, -0.3, 1 / 3, 7.0)
    check(tensors, Initializer("w", form, tuple("abcd"), factors))  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [1.0, 0.2])
@pytest.mark.parametrize(("form", "shape"), [("float", None), ("float", (24, 5)), ("codes", (8, 15))])
def test_convolutions_keep_or_change_their_shape(form: str, shape: tuple[int, ...] | None, kept: float) -> None:
    check({"a": weight(8, 3, 5, bits=6, kept=kept)}, Initializer("w", form, ("a",), shape=shape))  # type: ignore[arg-type]
    check({"a": weight(8, 3, 1, bits=6, kept=kept)}, Initializer("w", f"{form}_transposed", ("a",), shape=(3, 8)))  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [32, 40, 5])
@pytest.mark.parametrize(("form", "bits"), [("nbits4", 2), ("nbits4", 3), ("nbits4", 4), ("nbits8", 5), ("nbits8", 8)])
@pytest.mark.parametrize("kept", [1.0, 0.3])
def test_blocks_of_codes(form: str, bits: int, columns: int, kept: float) -> None:
    block = 16
    blocks, nbytes = -(-columns // block), block * int(form[-1]) // 8
    tensors = {"a": weight(7, columns, bits=bits, kept=kept), "b": weight(4, columns, bits=bits, seed=1)}
    codes = Initializer("codes", form, ("a", "b"), shape=(11, blocks, nbytes))  # type: ignore[arg-type]
    check(tensors, codes, Initializer("scales", "block_scales", ("a", "b"), (0.5, 1.0), (11, blocks)))


def test_a_tensor_that_several_weights_want_lies_in_the_graph_once() -> None:
    tensors = {"a": weight(64, 64, bits=4)}
    wanted = (
        Initializer("codes", "codes", ("a",)),
        Initializer("turned", "codes_transposed", ("a",)),
        Initializer("real", "float", ("a",)),
    )
    model = check(tensors, *wanted)
    planes = [
        tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.UINT8 and len(tensor.raw_data) == 64 * 64 // 8
    ]
    assert len(planes) == 4
    assert sum(len(tensor.raw_data) for tensor in model.graph.initializer) < 4 * 64 * 64 / 8 + 4 * 64 + 200


def test_survivors_of_code_0_need_not_be_told_from_pruned_weights() -> None:
    codes = np.array([[0, 1, 0, -1], [0, 0, 3, 0]], np.int8)
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], np.bool_)  # two zeros survive
    tensors: dict[str, Stored] = {"a": Quantized(np.tile(codes, (8, 8)), np.ones(16, np.float32), 5, np.tile(mask, (8, 8)))}
    check(tensors, Initializer("w", "codes", ("a",)))


@given(st.lists(st.booleans(), max_size=70))
def test_planes_are_laid_as_drawn(bits: list[bool]) -> None:
    packed = _pack(np.array(bits, np.uint8))
    row = -(-len(bits) // 8)
    assert packed.shape == (row,)
    assert [bool(packed[i % row] >> (i // row) & 1) for i in range(len(bits))] == bits
