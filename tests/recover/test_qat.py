"""Quantization-aware training: exactly the codes of `quantize`, the gradients of its sources, and a network that is left plain."""

from typing import Literal

import numpy as np
import pytest
import torch

from paredown.compress.quantize import quantize
from paredown.models.network import Network, build_network
from paredown.recover.loss import joint_loss, read_weights
from paredown.recover.qat import LearnedSteps, quantized
from paredown.recover.steps import find_steps
from paredown.recover.trainer import prepare_network
from tests.models.checkpoints import ENCODERS, st_config
from tests.recover.streams import make_batch

WIDTHS = (2, 3, 4, 8, 16)
LAYERS = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Embedding)
Granularity = Literal["channel", "tensor"]


def make_network(encoder: str = "conformer-latest") -> Network:
    torch.manual_seed(5)
    return build_network(st_config(encoder)).eval()


def mixed_bits(network: Network) -> dict[str, int]:
    """All widths in turn over all layers of the network, convolutions and the embedding among them."""
    paths = [path for path, module in network.named_modules() if isinstance(module, LAYERS)]
    return {path: WIDTHS[index % len(WIDTHS)] for index, path in enumerate(paths)}


def _step(network: Network, optimizer: torch.optim.Optimizer, seed: int = 1) -> float:
    batch = make_batch(seed)
    loss = joint_loss(network, batch.features, batch, read_weights(st_config()), sos=7).total
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_a_forward_pass_computes_are_the_codes_of_the_trained_weights(encoder: str, granularity: Granularity) -> None:
    network = make_network(encoder)
    bits = mixed_bits(network)
    with quantized(network, bits, granularity) as learned:
        prepare_network(network, seed=0, pool_values=2**17)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
        for _ in range(3):
            _step(network, optimizer)
        computed = {path: network.get_submodule(path).weight.detach().numpy().copy() for path in bits}  # type: ignore[operator,union-attr]
        steps = {path: layer.steps().numpy() for path, layer in learned.items()}
    assert set(steps) == {path for path, width in bits.items() if width != 16}
    moved = 0
    for path, width in bits.items():
        weight = network.get_parameter(f"{path}.weight").detach().numpy()
        if width == 16:
            assert np.array_equal(computed[path], weight)
            continue
        codes = quantize(weight, width, granularity, scales=steps[path])
        assert np.array_equal(computed[path], codes.dequantize()), path
        moved += not np.allclose(steps[path], find_steps(torch.from_numpy(weight), width, granularity).numpy(), rtol=1e-3)
    assert moved  # steps are learned


def test_a_network_with_the_rounded_weights_computes_the_same() -> None:
    network, batch = make_network(), make_batch(2)
    bits, arguments = mixed_bits(network), (batch.features, batch, read_weights(st_config()), 7)
    with quantized(network, bits) as learned:
        expected = float(joint_loss(network, *arguments).total.detach())
        steps = {path: layer.steps() for path, layer in learned.items()}
    unrounded = float(joint_loss(network, *arguments).total.detach())
    with torch.no_grad():
        for path, step in steps.items():
            weight = network.get_parameter(f"{path}.weight")
            weight.copy_(torch.from_numpy(quantize(weight.numpy(), bits[path], scales=step.numpy()).dequantize()))
    assert float(joint_loss(network, *arguments).total.detach()) == expected != unrounded


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("channels", [6, 1])
def test_gradients_are_those_of_the_formula_written_with_detached_rounding(bits: int, channels: int) -> None:
    torch.manual_seed(bits)
    weight, outer = torch.randn(6, 5, 3, requires_grad=True), torch.randn(6, 5, 3)
    layer = LearnedSteps(torch.rand(channels) + 0.1, bits, dims=3)
    torch.nn.init.normal_(layer.growth, std=0.1)
    (layer(weight) * outer).sum().backward()
    found = weight.grad, layer.growth.grad
    again, growth = weight.detach().clone().requires_grad_(), layer.growth.detach().clone().requires_grad_()
    step = layer.start * growth.view_as(layer.start).exp()
    clipped = (again / step).clamp(-layer.top, layer.top)
    ((clipped + (clipped.round() - clipped).detach()) * step * outer).sum().backward()
    torch.testing.assert_close(found, (again.grad, growth.grad), rtol=1e-4, atol=1e-5)


def test_training_with_codes_beats_rounding_afterwards() -> None:
    def loss_of_codes(last_with_codes: bool) -> float:
        network, batch = make_network(), make_batch(1)
        bits = dict.fromkeys(mixed_bits(network), 2)
        plain = torch.optim.AdamW(network.parameters(), lr=3e-3)
        for _ in range(40 if last_with_codes else 70):
            _step(network, plain)
        with quantized(network, bits):
            optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
            for _ in range(30 if last_with_codes else 0):
                _step(network, optimizer)
            return float(joint_loss(network, batch.features, batch, read_weights(st_config()), 7).total.detach())

    assert loss_of_codes(last_with_codes=True) < 0.8 * loss_of_codes(last_with_codes=False)


def test_given_steps_are_the_start_to_the_bit() -> None:
    network = make_network()
    path = "decoder.decoders.0.feed_forward.w_1"
    given = torch.rand(24) + 0.01
    with quantized(network, {path: 3}, steps={path: given}) as learned:
        assert torch.equal(learned[path].steps(), given)


def test_leaving_restores_names_order_and_values_even_after_an_error() -> None:
    network = make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = dict(network.named_parameters())
    with pytest.raises(ValueError, match="got 9"), quantized(network, mixed_bits(network)), quantized(network, {"ctc.ctc_lo": 9}):
        pass
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameters[name] is parameter for name, parameter in network.named_parameters())


@pytest.mark.parametrize(
    ("bits", "steps", "rule"),
    [
        ({"decoder.gone": 4}, {}, "must name layers of the network, got 'decoder.gone'"),
        ({"encoder.after_norm": 9}, {}, r"must lie in \[2, 8\] or be 16, got 9 for 'encoder.after_norm'"),
        ({"ctc.ctc_lo": 4}, {"ctc.ctc_lo": torch.ones(3)}, r"steps of 'ctc.ctc_lo' must be \[5\], got \[3\]"),
        ({"ctc.ctc_lo": 4}, {"ctc.ctc_lo": torch.zeros(5)}, "steps must be finite and above 0, got 0 for 'ctc.ctc_lo'"),
    ],
)
def test_what_does_not_fit_is_refused(bits: dict[str, int], steps: dict[str, torch.Tensor], rule: str) -> None:
    with pytest.raises(ValueError, match=rule), quantized(make_network(), bits, steps=steps):
        pass


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_first_steps_have_nearly_the_least_error(bits: int, granularity: Granularity) -> None:
    weight = torch.randn(4, 64, generator=torch.Generator().manual_seed(bits))
    weight[0, 0] = 30.0  # an outlier
    rows, top = (weight if granularity == "channel" else weight.view(1, -1)), 2 ** (bits - 1) - 1

    def error(steps: torch.Tensor) -> torch.Tensor:
        codes = (rows / steps[:, None]).round().clamp(-top, top)
        return (codes * steps[:, None] - rows).square().sum(1)

    largest = rows.abs().amax(1) / top
    least = torch.stack([error(largest * share) for share in np.linspace(0.05, 1.0, 2000)]).amin(0)
    found = error(find_steps(weight, bits, granularity))
    assert bool((found <= error(largest)).all())
    assert bool((found <= 1.05 * least).all())  # a dense search finds at most 5 % less


def test_steps_of_zeros_and_of_broken_weights() -> None:
    assert find_steps(torch.zeros(2, 3), 4).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="a weight to quantize must be finite, got a step of inf"):
        find_steps(torch.tensor([[1.0, float("inf")]]), 4)
