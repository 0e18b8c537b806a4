"""Layers and groups cover every parameter that inference needs, once, under the right role."""

from typing import Any

import pytest
import torch

from paredown.models.groups import build_inventory, find_group, group_parameters
from paredown.models.network import build_network
from paredown.space.inventory import GROUPS
from tests.models.checkpoints import ENCODERS, asr_config, st_config


@pytest.mark.parametrize("encoder", ENCODERS)
def test_groups_partition_the_inference_parameters(encoder: str) -> None:
    network = build_network(st_config(encoder))
    grouped = group_parameters(network)
    names = [name for members in grouped.values() for name in members]
    expected = {name for name, _ in network.named_parameters() if not name.startswith("ctc.")}
    assert len(names) == len(set(names))
    assert set(names) == expected
    assert list(grouped) == [group for group in GROUPS if group in grouped]
    conv = {"encoder.conv"} if encoder != "transformer" else set()
    assert set(grouped) == set(GROUPS) - {"ctc", "encoder.conv"} | conv


@pytest.mark.parametrize("encoder", ENCODERS)
def test_inventory_holds_every_matrix_of_a_layer_once(encoder: str) -> None:
    network = build_network(st_config(encoder))
    inventory = build_inventory(network)
    modules = dict(network.named_modules())
    for layer in inventory.layers:
        assert tuple(modules[layer.path].weight.shape) == layer.shape
        assert layer.kind == {"Linear": "linear", "Embedding": "embedding"}.get(type(modules[layer.path]).__name__, "conv")
    inference = [p for name, p in network.named_parameters() if not name.startswith("ctc.")]
    assert inventory.parameters == sum(p.numel() for p in inference)
    unlisted = {name for name, size in inventory.vectors} & {name for name, p in network.named_parameters() if p.dim() >= 2}
    assert all(name.endswith(("pos_bias_u", "pos_bias_v")) for name in unlisted)
    assert inventory.blocks == (("encoder", 2), ("decoder", 2))


def test_layers_come_in_network_order() -> None:
    paths = [layer.path for layer in build_inventory(build_network(st_config())).layers]
    assert paths[0] == "encoder.embed.conv.0"
    assert paths.index("encoder.encoders.1.feed_forward.w_2") < paths.index("decoder.embed.0")
    assert paths.index("encoder.encoders.0.self_attn.linear_q") < paths.index("encoder.encoders.1.self_attn.linear_q")


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("encoder.embed.conv.2.weight", "encoder.subsampling"),
        ("encoder.embed.out.0", "encoder.subsampling"),
        ("encoder.encoders.3.feed_forward_macaron.w_1", "encoder.feed_forward"),
        ("encoder.encoders.11.self_attn.pos_bias_u", "encoder.self_attn"),
        ("encoder.encoders.0.conv_module.norm.weight", "encoder.conv"),
        ("encoder.encoders.0.norm_conv.weight", "encoder.norm"),
        ("encoder.encoders.0.cgmlp.csgu.norm.weight", "encoder.conv"),
        ("encoder.after_norm.bias", "encoder.norm"),
        ("decoder.embed.0", "decoder.embed"),
        ("decoder.decoders.5.src_attn.linear_k.bias", "decoder.cross_attn"),
        ("decoder.decoders.5.self_attn.linear_k", "decoder.self_attn"),
        ("decoder.decoders.5.norm3.weight", "decoder.norm"),
        ("decoder.output_layer", "decoder.output"),
        ("st_ctc.ctc_lo.weight", "ctc"),
    ],
)
def test_group_of_a_path(path: str, group: str) -> None:
    assert find_group(path) == group


def test_a_path_outside_the_groups_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 'normalize\.mean'"):
        find_group("normalize.mean")


@pytest.mark.parametrize(
    ("config", "head"),
    [
        (asr_config(), "ctc"),
        (asr_config(model_conf={"ctc_weight": 0.0}), None),
        (st_config(), None),
        (st_config(model_conf={"st_mtlalpha": 0.3}), "st_ctc"),
        (st_config(model_conf={"asr_weight": 1, "mtlalpha": 1, "st_mtlalpha": 1}), "st_ctc"),
    ],
)
def test_only_a_ctc_over_the_output_takes_part_in_inference(config: dict[str, Any], head: str | None) -> None:
    network = build_network(config)
    inventory, grouped = build_inventory(network), group_parameters(network)
    listed = {f"{layer.path}.weight" for layer in inventory.layers} | {name for name, _ in inventory.vectors}
    parts = ("encoder.", "decoder.", *([f"{head}."] if head else []))
    assert listed == {name for name, _ in network.named_parameters() if name.startswith(parts)}
    assert {name for names in grouped.values() for name in names} == listed
    assert set(grouped) >= set(inventory.groups)
    assert grouped.get("ctc") == ((f"{head}.ctc_lo.weight", f"{head}.ctc_lo.bias") if head else None)
    layers = [layer for layer in inventory.layers if layer.group == "ctc"]
    assert [(layer.path, layer.shape, layer.kind) for layer in layers] == ([(f"{head}.ctc_lo", (8, 16), "linear")] if head else [])


def test_query_key_norms_are_vectors() -> None:
    network = build_network(st_config(decoder_conf={"attention_heads": 2, "num_blocks": 1, "qk_norm": True, "linear_units": 8}))
    vectors = dict(build_inventory(network).vectors)
    assert vectors["decoder.decoders.0.self_attn.q_norm.weight"] == 8
    assert torch.nn.LayerNorm not in {type(module) for module in network.encoder.embed.modules()}
