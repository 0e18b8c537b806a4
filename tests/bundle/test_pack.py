"""Packing against a reader written bit by bit from the layout in `pack`'s docstring, and against the bytes that `space.cost` foretells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paredown.bundle.pack import Packed, pack
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized
from paredown.runtime.bundle_files import TensorRecord
from paredown.space.cost import layer_bytes
from paredown.space.inventory import LayerInfo


def make_quantized(seed: int, shape: tuple[int, ...], bits: int, sparsity: float | None, granularity: str) -> Quantized:
    rng = np.random.default_rng(seed)
    mask = None if sparsity is None else rng.random(shape) >= sparsity
    return quantize(rng.standard_normal(shape).astype(np.float32), bits, granularity, mask)


@st.composite
def quantized_tensors(draw: st.DrawFn) -> Quantized:
    shape = draw(st.sampled_from([(1, 1), (3, 5), (8, 8), (17, 9), (6, 1, 5), (4, 3, 3, 3), (40, 33)]))
    sparsity = draw(st.sampled_from([None, 0.0, 0.3, 0.5, 0.9, 1.0]))
    return make_quantized(draw(st.integers(0, 99)), shape, draw(st.integers(2, 8)), sparsity, draw(st.sampled_from(["channel", "tensor"])))


def read_bit(data: bytes, first_byte: int, index: int) -> int:
    return data[first_byte + index // 8] >> (7 - index % 8) & 1


def read_slowly(packed: Packed, record: TensorRecord) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    data, row = packed.data, -(-record.size // 8)
    scales = np.frombuffer(data, "<f4", record.channels, record.scales_offset)
    if record.kind == "dense":
        where, count, first = list(range(record.size)), record.size, record.offset
    else:
        where = [index for index in range(record.size) if read_bit(data, record.offset, index)]
        count, first = len(where), record.offset + row
        assert count == record.survivors
    codes = np.zeros(record.size, np.int8)
    for position, index in enumerate(where):
        unsigned = sum(read_bit(data, first + plane * -(-count // 8), position) << plane for plane in range(record.bits))
        codes[index] = unsigned - (2 ** (record.bits - 1) - 1)
    return codes.reshape(record.shape), scales


@given(tensor=quantized_tensors())
def test_codes_and_scales_lie_where_the_layout_says(tensor: Quantized) -> None:
    packed = pack({"a.bias": np.ones(3, np.float32), "b.weight": tensor})
    codes, scales = read_slowly(packed, packed.records[1])
    np.testing.assert_array_equal(codes, tensor.codes)
    np.testing.assert_array_equal(scales, tensor.scales)


@given(tensor=quantized_tensors())
def test_bytes_are_those_the_cost_model_foretells(tensor: Quantized) -> None:
    layer = LayerInfo("decoder.output_layer", "decoder.output", tensor.codes.shape, "linear")
    survivors = None if tensor.mask is None else int(tensor.mask.sum())
    packed = pack({"w": tensor})
    for granularity, channels in (("channel", layer.channels), ("tensor", 1)):
        if tensor.scales.size == channels:
            assert len(packed.data) == layer_bytes(layer, tensor.bits, survivors, granularity)
    dense = tensor.dequantize()
    assert len(pack({"w": dense}).data) == layer_bytes(layer, None)
    assert len(pack({"w": dense.astype(np.float16)}).data) == layer_bytes(layer, None, kernel="fp16")


def test_numbers_of_half_precision_lie_between_those_of_float32_and_the_planes() -> None:
    half = np.arange(3, dtype=np.float16)
    layer = quantize(np.arange(-8, 8, dtype=np.float32).reshape(2, 8), 4)
    packed = pack({"a": half, "b": layer, "c": np.float32([1.5]), "d": half + 1})
    kinds = {record.name: (record.kind, record.offset, record.nbytes) for record in packed.records}
    assert kinds == {"a": ("half", 12, 6), "b": ("dense", 24, 8), "c": ("raw", 8, 4), "d": ("half", 18, 6)}
    np.testing.assert_array_equal(np.frombuffer(packed.data, "<f2", 6, 12), [0, 1, 2, 1, 2, 3])
    codes, scales = read_slowly(packed, packed.records[1])
    np.testing.assert_array_equal(codes, layer.codes)
    np.testing.assert_array_equal(scales, layer.scales)


def test_the_cheaper_form_is_taken_and_dense_when_equal() -> None:
    codes = np.ones((1, 64), np.int8)

    def kind(survivors: int, bits: int) -> str:
        mask = np.arange(64)[None] < survivors
        return pack({"w": Quantized(codes * mask, np.ones(1, np.float32), bits, mask)}).records[0].kind

    # 64 weights at 4 bits: dense 32 bytes; sparse 8 + 4 * ceil(survivors / 8).
    assert kind(40, 4) == "sparse"  # 28
    assert kind(48, 4) == "dense"  # 32: equal
    assert kind(64, 4) == "dense"
    assert kind(0, 2) == "sparse"  # 8 against 16


def test_equal_tensors_give_equal_bytes_in_any_order() -> None:
    tensors = {f"layer.{number}": make_quantized(number, (5, 7), 3, 0.5, "channel") for number in range(4)} | {
        "bias": np.ones(2, np.float32)
    }
    backwards = dict(reversed(tensors.items()))
    assert pack(tensors) == pack(backwards)
    assert [record.name for record in pack(backwards).records] == sorted(tensors)


def test_records_fill_the_file_without_gaps_and_floats_are_aligned() -> None:
    tensors = {
        "a": make_quantized(0, (5, 7), 3, None, "channel"),
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "c": make_quantized(1, (9, 9), 5, 0.9, "tensor"),
        "d": np.zeros(0, np.float32),
    }
    packed = pack(tensors)
    pieces = [(record.offset, record.nbytes) for record in packed.records] + [
        (r.scales_offset, 4 * r.channels) for r in packed.records if r.channels
    ]
    filled = [byte for offset, nbytes in pieces for byte in range(offset, offset + nbytes)]
    assert sorted(filled) == list(range(len(packed.data)))
    assert all(record.scales_offset % 4 == 0 for record in packed.records)
    raw = packed.records[1]
    assert raw.kind == "raw"
    assert raw.offset % 4 == 0
    np.testing.assert_array_equal(np.frombuffer(packed.data, "<f4", 6, raw.offset).reshape(2, 3), tensors["b"])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (np.zeros(3), "must be float32 or float16, got float64 for w"),
        (Quantized(np.array([[2]], np.int8), np.ones(1, np.float32), 2), r"2 bits must lie in \[-1, 1\], got 2..2 for w"),
        (Quantized(np.array([[-128]], np.int8), np.ones(1, np.float32), 8), r"\[-127, 127\], got -128"),
        (Quantized(np.zeros((3, 2), np.int8), np.ones(2, np.float32), 8), r"one a channel \(3\), got 2"),
        (Quantized(np.ones((1, 1), np.int8), np.ones(1, np.float32), 8, np.zeros((1, 1), bool)), "pruned weight must have code 0"),
    ],
)
def test_tensors_that_cannot_be_stored_are_refused(tensor: Quantized | NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack({"w": tensor})


@given(tensor=quantized_tensors())
def test_records_survive_their_json(tensor: Quantized) -> None:
    for record in pack({"b": np.ones(3, np.float32), "h": np.ones(3, np.float16), "w": tensor}).records:
        assert TensorRecord.from_json(record.to_json()) == record
