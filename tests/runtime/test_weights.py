import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paredown.bundle.pack import pack, split_planes
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Form, Initializer
from paredown.runtime.weights import Weights, join_planes


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    made: dict[str, Tensor] = {"raw": rng.standard_normal((4, 6)).astype(np.float32), "bias": rng.standard_normal(4).astype(np.float32)}
    for bits in range(2, 9):
        made[f"dense{bits}"] = quantize(rng.standard_normal((4, 6)).astype(np.float32), bits)
        made[f"sparse{bits}"] = quantize(rng.standard_normal((40, 6)).astype(np.float32), bits, mask=rng.random((40, 6)) < 0.2)
    made["tensor"] = quantize(rng.standard_normal((5, 6)).astype(np.float32), 4, "tensor")
    made["half"] = rng.standard_normal((4, 6)).astype(np.float16)
    made["pointwise"] = quantize(rng.standard_normal((4, 6, 1)).astype(np.float32), 6)
    made["empty"] = quantize(np.ones((4, 6), np.float32), 2, mask=np.zeros((4, 6), bool))
    return made


@pytest.fixture(scope="module")
def weights(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Weights:
    packed = pack(tensors)
    path = tmp_path_factory.mktemp("weights") / "weights.bin"
    path.write_bytes(packed.data)
    return Weights(path, packed.records)


def make(
    weights: Weights, form: Form, *names: str, factors: tuple[float, ...] = (), shape: tuple[int, ...] | None = None
) -> NDArray[np.float32]:
    return weights.initializers((Initializer("wanted", form, names, factors, shape),))["wanted"]


def values_of(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor.astype(np.float32)


def test_float_forms_are_the_weights_bit_for_bit(weights: Weights, tensors: dict[str, Tensor]) -> None:
    kinds = {record.kind for record in weights._records.values()}
    assert kinds == {"raw", "half", "dense", "sparse"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(make(weights, "float", name), values_of(tensor), strict=True)


def test_code_forms_are_the_codes(weights: Weights, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if isinstance(tensor, Quantized):
            np.testing.assert_array_equal(make(weights, "codes", name), tensor.codes, strict=True)
            expected = np.broadcast_to(tensor.scales, len(tensor.codes))
            np.testing.assert_array_equal(make(weights, "scales", name), expected, strict=True)
            np.testing.assert_array_equal(make(weights, "scales_column", name), expected[:, None], strict=True)


def test_transposed_forms_are_in_by_out_and_contiguous(weights: Weights, tensors: dict[str, Tensor]) -> None:
    for name in ("raw", "half", "dense3", "sparse5", "pointwise"):
        tensor = tensors[name]
        made = make(weights, "float_transposed", name)
        np.testing.assert_array_equal(made, values_of(tensor).reshape(values_of(tensor).shape[:2]).T)
        assert made.flags.c_contiguous
        if isinstance(tensor, Quantized):
            codes = make(weights, "codes_transposed", name)
            np.testing.assert_array_equal(codes, tensor.codes.reshape(tensor.codes.shape[:2]).T)
            assert codes.flags.c_contiguous
            assert codes.dtype == np.int8


def test_several_tensors_are_joined_over_their_outputs(weights: Weights, tensors: dict[str, Tensor]) -> None:
    names = ("dense4", "tensor", "sparse8")
    parts = [tensors[name] for name in names]
    np.testing.assert_array_equal(make(weights, "codes_transposed", *names), np.concatenate([part.codes for part in parts]).T)
    scales = [np.broadcast_to(part.scales, len(part.codes)) for part in parts]
    np.testing.assert_array_equal(make(weights, "scales", *names), np.concatenate(scales))
    mixed = make(weights, "float_transposed", "raw", "dense4")
    np.testing.assert_array_equal(mixed, np.concatenate([tensors["raw"], values_of(tensors["dense4"])]).T)


def test_factors_scale_each_tensor(weights: Weights, tensors: dict[str, Tensor]) -> None:
    made = make(weights, "scales", "dense4", "dense5", factors=(0.5, 3.0))
    np.testing.assert_array_equal(
        made, np.concatenate([tensors["dense4"].scales * np.float32(0.5), tensors["dense5"].scales * np.float32(3)])
    )
    assert made.dtype == np.float32
    np.testing.assert_array_equal(make(weights, "float", "bias", factors=(0.1,)), tensors["bias"] * np.float32(0.1), strict=True)


def test_half_forms_are_rounded_once_behind_the_factor(weights: Weights, tensors: dict[str, Tensor]) -> None:
    for name in ("raw", "half", "dense5", "sparse8"):
        np.testing.assert_array_equal(make(weights, "half", name), values_of(tensors[name]).astype(np.float16), strict=True)
        scaled = (values_of(tensors[name]) * np.float32(0.3)).astype(np.float16)
        np.testing.assert_array_equal(make(weights, "half_transposed", name, factors=(0.3,)), scaled.T, strict=True)
    joined = np.concatenate([values_of(tensors["half"]), values_of(tensors["dense5"])]).astype(np.float16)
    np.testing.assert_array_equal(make(weights, "half", "half", "dense5"), joined, strict=True)


@pytest.mark.parametrize("block", [16, 4])
@pytest.mark.parametrize("width", [4, 8])
def test_blocks_hold_the_codes_around_the_zero_point(weights: Weights, tensors: dict[str, Tensor], width: int, block: int) -> None:
    blocks = -(-6 // block)
    for name in (f"dense{width}", "dense3", f"sparse{width}", "empty", "tensor", "pointwise"):
        tensor = tensors[name]
        if tensor.bits > width:
            continue
        packed = make(weights, f"nbits{width}", name, shape=(len(tensor.codes), blocks, block * width // 8))
        assert packed.dtype == np.uint8
        for row, codes in enumerate(tensor.codes.reshape(len(tensor.codes), -1)):
            number = int.from_bytes(packed[row].tobytes(), "little")  # the lowest bits first
            fields = [number >> (width * index) & (2**width - 1) for index in range(blocks * block)]
            assert [field - 2 ** (width - 1) for field in fields] == codes.tolist() + [0] * (blocks * block - 6)


def test_every_block_of_a_channel_has_its_scale(weights: Weights, tensors: dict[str, Tensor]) -> None:
    made = make(weights, "block_scales", "dense4", "tensor", factors=(0.5, 2.0), shape=(9, 3))
    expected = np.concatenate([tensors["dense4"].scales * np.float32(0.5), np.repeat(tensors["tensor"].scales * np.float32(2), 5)])
    np.testing.assert_array_equal(made, np.stack([expected] * 3, axis=1), strict=True)


def test_blocks_that_do_not_fit_are_refused(weights: Weights) -> None:
    with pytest.raises(ValueError, match="codes of 5 bits do not fit into blocks of 4 bits: dense5"):
        make(weights, "nbits4", "dense5", shape=(4, 1, 8))
    for shape in ((5, 1, 16), (4, 2, 16), (4, 0, 16)):
        with pytest.raises(ValueError, match=r"codes \(4, 6\) must fill blocks of 16, got the shape"):
            make(weights, "nbits8", "dense8", shape=shape)


def test_a_shape_is_given_at_the_end(weights: Weights, tensors: dict[str, Tensor]) -> None:
    np.testing.assert_array_equal(make(weights, "float", "raw", shape=(2, 12)), tensors["raw"].reshape(2, 12), strict=True)


def test_an_array_wanted_twice_is_made_once(weights: Weights) -> None:
    assert make(weights, "float", "dense4") is make(weights, "float", "dense4")
    assert make(weights, "float", "dense4") is not make(weights, "float", "dense4", factors=(2.0,))


def test_the_file_may_go_when_arrays_are_made(tmp_path: Path) -> None:
    packed = pack({"raw": np.arange(4, dtype=np.float32)})
    path = tmp_path / "weights.bin"
    path.write_bytes(packed.data)
    made = make(Weights(path, packed.records), "float", "raw")
    path.write_bytes(bytes(len(packed.data)))
    np.testing.assert_array_equal(made, np.arange(4))


@pytest.mark.parametrize("form", ["codes", "scales"])
@pytest.mark.parametrize(("name", "kind"), [("bias", "raw"), ("half", "half")])
def test_a_raw_tensor_has_no_codes(weights: Weights, form: Form, name: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"quantized tensor, got {kind} {name}"):
        make(weights, form, name)


@pytest.mark.parametrize(
    ("form", "names", "factors", "message"),
    [
        ("bits", ("a",), (), "form must be one of float, .*'bits'"),
        ("float", (), (), "has tensors"),
        ("float", ("a", "b"), (1.0,), "none or for all"),
        ("codes", ("a",), (2.0,), "codes take no factors"),
        ("nbits4", ("a",), (2.0,), "codes take no factors"),
        ("nbits8", ("a",), (), "form nbits8 has a shape of 3 dimensions, got None"),
        ("block_scales", ("a",), (), "form block_scales has a shape of 2 dimensions"),
    ],
)
def test_impossible_initializers_are_refused(form: str, names: tuple[str, ...], factors: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Initializer("w", form, names, factors)


@given(bits=st.integers(2, 8), size=st.integers(0, 70), seed=st.integers(0, 99))
def test_planes_give_back_the_codes(bits: int, size: int, seed: int) -> None:
    top = 2 ** (bits - 1) - 1
    codes = np.random.default_rng(seed).integers(-top, top + 1, size).astype(np.int8)
    planes = np.frombuffer(split_planes(codes, bits), np.uint8).reshape(bits, -1)
    np.testing.assert_array_equal(join_planes(planes, size), codes, strict=True)


def test_eleven_million_weights_expand_in_a_fraction_of_a_second() -> None:
    planes = np.random.default_rng(0).integers(0, 255, (8, 11_000_000 // 8), np.uint8)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        join_planes(planes, 11_000_000)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.3  # about 0.03 s alone on a core; the best of three, in processor time, because the machine may be busy
