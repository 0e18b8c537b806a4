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
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor


def test_float_forms_are_the_weights_bit_for_bit(weights: Weights, tensors: dict[str, Tensor]) -> None:
    kinds = {record.kind for record in weights._records.values()}
    assert kinds == {"raw", "dense", "sparse"}
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
    for name in ("raw", "dense3", "sparse5", "pointwise"):
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
def test_a_raw_tensor_has_no_codes(weights: Weights, form: Form) -> None:
    with pytest.raises(ValueError, match="quantized tensor, got raw bias"):
        make(weights, form, "bias")


@pytest.mark.parametrize(
    ("form", "names", "factors", "message"),
    [
        ("bits", ("a",), (), "form must be one of float, .*'bits'"),
        ("float", (), (), "has tensors"),
        ("float", ("a", "b"), (1.0,), "none or for all"),
        ("codes", ("a",), (2.0,), "codes take no factors"),
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
