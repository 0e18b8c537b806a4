"""NF4 against the levels that the QLoRA paper prints, against bitsandbytes itself, and its gradients against a plain layer's."""

import bitsandbytes
import numpy as np
import pytest
import torch

from paredown.recover.nf4 import Nf4Linear, quantize_linears

# Dettmers et al. 2023, appendix E.
LEVELS = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])  # fmt: skip
BLOCK = 64
SHAPES = [(8, 64), (6, 128), (24, 16), (7, 5), (40, 160), (3, 9), (1, 2), (33, 66), (1, 1)]


def _layer(outputs: int, inputs: int, *, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(outputs * 1000 + inputs)
    return torch.nn.Linear(inputs, outputs, bias=bias)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_the_nearest_levels_of_their_block(shape: tuple[int, int]) -> None:
    layer = _layer(*shape)
    weight = layer.weight.detach().numpy().astype(np.float64).reshape(-1)
    found = Nf4Linear(layer).dequantized().numpy().astype(np.float64)
    assert found.shape == shape
    blocks = [(weight[at : at + BLOCK], found.reshape(-1)[at : at + BLOCK]) for at in range(0, len(weight), BLOCK)]
    for true, rounded in blocks:
        largest = np.abs(true).max()
        nearest = np.abs(true[:, None] / largest - LEVELS).argmin(axis=1)
        scales = rounded[LEVELS[nearest] != 0] / LEVELS[nearest][LEVELS[nearest] != 0]
        assert np.ptp(scales) <= 1e-6 * largest  # one scale in a block
        assert abs(scales[0] - largest) < 0.05 * max(np.abs(one).max() for one, _ in blocks)  # which is itself an 8-bit code
        assert not rounded[LEVELS[nearest] == 0].any()


@pytest.mark.parametrize("shape", [(8, 64), (6, 128), (16, 256)])
def test_dequantization_equals_that_of_bitsandbytes_where_its_rows_are_whole_blocks(shape: tuple[int, int]) -> None:
    layer = _layer(*shape)
    codes, state = bitsandbytes.functional.quantize_4bit(layer.weight.detach(), quant_type="nf4", compress_statistics=True)
    expected = bitsandbytes.functional.dequantize_4bit(codes, state)
    assert torch.equal(Nf4Linear(layer).dequantized(), expected)
    own = Nf4Linear(layer)
    assert torch.equal(own.weight.data, codes)
    assert own.stored_bytes() == codes.numel() + sum(t.numel() * t.element_size() for t in state.as_dict(packed=True).values())


@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_are_those_of_a_layer_with_the_dequantized_weight(bias: bool) -> None:
    original = _layer(40, 160, bias=bias)
    layer, plain = Nf4Linear(original), _layer(40, 160, bias=bias)
    plain.weight.data = layer.dequantized()
    one = torch.randn(3, 7, 160, requires_grad=True)
    two = one.detach().clone().requires_grad_()
    first, second = layer(one), plain(two)
    assert torch.allclose(first, second, atol=1e-6)
    slope = torch.randn_like(first)
    torch.autograd.backward(first, slope)
    torch.autograd.backward(second, slope)
    assert torch.allclose(one.grad, two.grad, atol=1e-6)  # type: ignore[arg-type]
    assert layer.weight.grad is None


def test_evaluation_computes_with_the_same_weight_as_training() -> None:
    layer = Nf4Linear(_layer(64, 128))
    values = torch.randn(5, 128)
    trained = layer.train()(values)
    with torch.no_grad():
        evaluated = layer.eval()(values)
    assert torch.equal(evaluated, trained)
    assert torch.allclose(evaluated, torch.nn.functional.linear(values, layer.dequantized(), layer.bias), atol=1e-6)


def test_autocast_computes_in_bfloat16_and_leaves_the_bias_whole() -> None:
    original = _layer(40, 160)
    bias = original.bias.detach().clone()
    layer = Nf4Linear(original)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 160)).dtype == torch.bfloat16
    assert layer(torch.randn(2, 160)).dtype == torch.float32
    assert torch.equal(layer.bias, bias)
    assert layer.bias.dtype == torch.float32


def test_zeros_stay_zeros() -> None:
    layer = _layer(40, 160)
    layer.weight.data[::2] = 0.0
    layer.weight.data[:, 5] = 0.0
    found = Nf4Linear(layer).dequantized()
    assert not found[::2].any()
    assert not found[:, 5].any()
    zeros = _layer(4, 64)
    zeros.weight.data.zero_()
    assert not Nf4Linear(zeros).dequantized().any()


def test_every_linear_layer_of_a_network_is_replaced_once() -> None:
    shared = _layer(16, 16)
    network = torch.nn.ModuleDict({"a": shared, "b": torch.nn.Sequential(_layer(8, 16), torch.nn.Conv1d(2, 2, 1))})
    error = quantize_linears(network)
    assert 0.05 < error < 0.12
    assert [type(module).__name__ for module in network.modules() if hasattr(module, "weight")] == ["Nf4Linear", "Nf4Linear", "Conv1d"]
    assert quantize_linears(network) == 0.0
