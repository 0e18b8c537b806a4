"""Compressed weights back in a torch network: it computes what the configuration says."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from paredown.compress.network import compress_model, dense_network, state_of
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized
from paredown.models.groups import build_inventory
from paredown.models.network import build_network
from paredown.space.configuration import Configuration
from tests.models.checkpoints import random_state, st_config


@cache
def model() -> SimpleNamespace:
    config = st_config(decoder_conf={"attention_heads": 2, "linear_units": 24, "num_blocks": 3})
    network = build_network(config).eval()
    network.load_state_dict(random_state(config))
    return SimpleNamespace(network=network, inventory=lambda: build_inventory(network))


@torch.inference_mode()
def logits(network: torch.nn.Module) -> torch.Tensor:
    features = torch.randn(1, 90, 20, generator=torch.Generator().manual_seed(0))
    memory, steps = network.encode(features, torch.tensor([90]))
    return network.decoder(memory, steps, torch.tensor([[7, 2, 3, 4]]), torch.tensor([4]))[0]


def test_an_empty_configuration_computes_the_same() -> None:
    dense = dense_network(model(), compress_model(model(), Configuration()))
    assert torch.equal(logits(dense), logits(model().network))
    assert dense is not model().network


def test_dropped_blocks_are_skipped() -> None:
    compressed = compress_model(model(), Configuration(keep=(("decoder", (0, 2)), ("encoder", (1,)))))
    expected = dense_network(model(), compress_model(model(), Configuration()))
    del expected.decoder.decoders[1]
    del expected.encoder.encoders[0]
    dense = dense_network(model(), compressed)
    assert (len(dense.encoder.encoders), len(dense.decoder.decoders)) == (1, 2)
    assert torch.equal(logits(dense), logits(expected))
    assert len(model().network.decoder.decoders) == 3


def test_quantized_weights_are_the_codes_times_scales_at_new_indices() -> None:
    path = "decoder.decoders.2.feed_forward.w_1"
    compressed = compress_model(model(), Configuration(bits=((path, 3),), keep=(("decoder", (0, 2)),)))
    dense = dense_network(model(), compressed)
    weight = model().network.decoder.decoders[2].feed_forward.w_1.weight.detach().numpy()
    assert np.array_equal(dense.decoder.decoders[1].feed_forward.w_1.weight.detach().numpy(), quantize(weight, 3).dequantize())


def test_sparsity_takes_weights_of_layers_and_norms_but_no_bias() -> None:
    compressed = compress_model(
        model(), Configuration(sparsity=(("encoder.conv", 0.6),), bits=(("encoder.encoders.0.conv_module.depthwise_conv", 4),))
    )
    network = dense_network(model(), compressed)
    weights = [p for name, p in network.named_parameters() if "conv_module" in name and name.endswith(".weight")]
    assert any(name.endswith("conv_module.norm.weight") for name, _ in network.named_parameters())
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    codes = compressed.tensors["encoder.encoders.0.conv_module.depthwise_conv.weight"]
    assert isinstance(codes, Quantized)
    assert codes.mask is not None
    rounded_away = int(((codes.codes == 0) & codes.mask).sum())  # survivors too small for a code
    assert zeros - rounded_away == round(0.6 * sum(weight.numel() for weight in weights))
    assert not any(
        (p == 0).any() for name, p in network.named_parameters() if "conv_module" in name and name.endswith("pointwise_conv1.bias")
    )


def test_parameters_that_inference_does_not_need_are_left_out() -> None:
    compressed = compress_model(model(), Configuration())
    assert "ctc.ctc_lo.weight" not in compressed.tensors
    assert set(compressed.tensors) == {name for name, _ in model().network.named_parameters() if not name.startswith("ctc.")}


def test_the_state_shares_memory_and_holds_batch_norm_statistics() -> None:
    state = state_of(model())
    assert state["decoder.output_layer.bias"].ctypes.data == model().network.decoder.output_layer.bias.data_ptr()
    assert state["encoder.encoders.0.conv_module.norm.running_var"].dtype == np.float32
    assert "encoder.encoders.0.conv_module.norm.num_batches_tracked" not in state


@pytest.mark.parametrize("bits", [2, 8])
def test_a_uniform_configuration_quantizes_every_layer(bits: int) -> None:
    inventory = model().inventory()
    compressed = compress_model(model(), Configuration(bits=tuple((layer.path, bits) for layer in inventory.layers)))
    quantized = {name.removesuffix(".weight") for name, tensor in compressed.tensors.items() if isinstance(tensor, Quantized)}
    assert quantized == set(inventory.by_path)
