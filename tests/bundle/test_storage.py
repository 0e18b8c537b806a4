"""What is stored: folded batch norms, channels-last convolutions, nothing that no graph uses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.bundle.storage import channels_last, fold_batch_norms
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Tensor
from tests.bundle.sessions import dense

torch = pytest.importorskip("torch")

MODULE = "encoder.encoders.0.conv_module."


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), quantized=st.booleans(), granularity=st.sampled_from(["channel", "tensor"]))
def test_a_folded_batch_norm_computes_what_torch_computes(seed: int, quantized: bool, granularity: str) -> None:
    rng = np.random.default_rng(seed)
    convolution, norm = torch.nn.Conv1d(4, 4, 3, groups=4), torch.nn.BatchNorm1d(4).eval()
    weight = rng.standard_normal((4, 1, 3)).astype(np.float32)
    tensors: dict[str, Tensor] = {f"{MODULE}depthwise_conv.weight": quantize(weight, 4, granularity) if quantized else weight}
    vectors = {
        name: rng.standard_normal(4).astype(np.float32) for name in ("depthwise_conv.bias", "norm.weight", "norm.bias", "norm.running_mean")
    }
    vectors["norm.weight"][seed % 4] = 0.0  # pruned; the others may be negative
    vectors["norm.running_var"] = rng.uniform(0.1, 2.0, 4).astype(np.float32)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(dense(tensors[f"{MODULE}depthwise_conv.weight"])))
        convolution.bias.copy_(torch.from_numpy(vectors["depthwise_conv.bias"]))
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(norm, name).copy_(torch.from_numpy(vectors[f"norm.{name}"]))
        x = torch.from_numpy(rng.standard_normal((1, 4, 9)).astype(np.float32))
        expected = norm(convolution(x))
        buffers = {f"{MODULE}{name}": vectors.pop(name) for name in ("norm.running_mean", "norm.running_var")}
        tensors |= {f"{MODULE}{name}": vector for name, vector in vectors.items()}
        fold_batch_norms(tensors, buffers)
        folded = (torch.from_numpy(dense(tensors[f"{MODULE}depthwise_conv.{part}"])) for part in ("weight", "bias"))
        got = torch.nn.functional.conv1d(x, *folded, groups=4)
    assert set(tensors) == {f"{MODULE}depthwise_conv.weight", f"{MODULE}depthwise_conv.bias"}
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-5)  # gains up to 3 / sqrt(0.1): ten float32 roundings of numbers near 30


def test_a_folded_layer_keeps_its_codes() -> None:
    layer = quantize(np.random.default_rng(0).standard_normal((4, 1, 3)).astype(np.float32), 3)
    vector = np.full(4, 2.0, np.float32)
    tensors: dict[str, Tensor] = {f"{MODULE}depthwise_conv.weight": layer}
    tensors |= {f"{MODULE}{name}": vector for name in ("depthwise_conv.bias", "norm.weight", "norm.bias")}
    fold_batch_norms(tensors, {f"{MODULE}norm.running_{part}": vector for part in ("mean", "var")})
    assert tensors[f"{MODULE}depthwise_conv.weight"].codes is layer.codes
    assert tensors[f"{MODULE}depthwise_conv.weight"].bits == 3


def test_channels_last_moves_codes_and_mask_alike() -> None:
    rng = np.random.default_rng(0)
    weight, mask = rng.standard_normal((3, 2, 5, 5)).astype(np.float32), rng.random((3, 2, 5, 5)) < 0.5
    layer = quantize(weight, 4, mask=mask)
    moved = channels_last(layer)
    expected = layer.dequantize().transpose(0, 2, 3, 1).reshape(3, -1)
    np.testing.assert_array_equal(moved.dequantize(), expected)
    np.testing.assert_array_equal(moved.mask, mask.transpose(0, 2, 3, 1).reshape(3, -1))
    np.testing.assert_array_equal(channels_last(layer.dequantize()), expected)
