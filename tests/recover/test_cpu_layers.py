"""The faster forms compute what ESPnet's layers compute, and leave the checkpoint's keys alone."""

import copy
from typing import Any

import pytest
import torch
from espnet.nets.pytorch_backend.conformer.convolution import ConvolutionModule
from espnet.nets.pytorch_backend.conformer.swish import Swish

from paredown.models.network import Network, build_network
from paredown.recover.cpu_layers import speed_up
from paredown.recover.dropout import PooledDropout
from paredown.recover.loss import joint_loss, read_weights
from tests.models.checkpoints import ENCODERS, st_config
from tests.recover.streams import make_batch


def _without_dropout(config: dict[str, Any]) -> dict[str, Any]:
    rates = {"dropout_rate": 0.0, "positional_dropout_rate": 0.0}
    return config | {"encoder_conf": config["encoder_conf"] | rates, "decoder_conf": config["decoder_conf"] | rates}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_loss_and_gradients_in_training_are_unchanged(encoder: str) -> None:
    config = _without_dropout(st_config(encoder))
    torch.manual_seed(2)
    plain = build_network(config).train()
    fast = copy.deepcopy(plain)
    speed_up(fast, seed=0)
    losses = [_backward(network, config) for network in (plain, fast)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert list(plain.state_dict()) == list(fast.state_dict())
    for (name, expected), (_, found) in zip(plain.named_parameters(), fast.named_parameters(), strict=True):
        # float32 sums in another order: 1e-4 of the largest gradient of the tensor, and nothing where the gradient itself vanishes
        assert (expected.grad - found.grad).abs().max() <= 1e-4 * expected.grad.abs().max() + 1e-5, name
    for name, value in plain.state_dict().items():
        assert torch.allclose(value.float(), fast.state_dict()[name].float(), atol=1e-5), name


def _backward(network: Network, config: dict[str, Any]) -> float:
    batch = make_batch(4)
    loss = joint_loss(network, batch.features, batch, read_weights(config), sos=7).total
    loss.backward()
    return float(loss.detach())


def test_every_costly_form_is_replaced() -> None:
    network = build_network(st_config()).train()
    speed_up(network, seed=0, pool_values=2**12)
    kinds = {type(module) for module in network.modules()}
    assert PooledDropout in kinds
    assert kinds.isdisjoint({torch.nn.Dropout, ConvolutionModule, Swish})
    weight = network.encoder.embed.conv[2].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_evaluation_mode_is_kept() -> None:
    network = build_network(st_config()).eval()
    speed_up(network, seed=0, pool_values=2**12)
    assert not any(module.training for module in network.modules())
