"""Layers and groups: which weight matrices a network has, by the names and roles that the whole of paredown uses."""

from collections.abc import Iterator

import torch
from espnet.nets.pytorch_backend.transformer.attention import MultiHeadedAttention

from paredown.models.network import Network
from paredown.space.inventory import GROUPS, Inventory, Kind, LayerInfo

_KINDS: tuple[tuple[type[torch.nn.Module], Kind], ...] = (
    (torch.nn.Linear, "linear"),
    (torch.nn.Conv1d, "conv"),
    (torch.nn.Conv2d, "conv"),
    (torch.nn.Embedding, "embedding"),
)
_ENCODER_ROLES = {
    "self_attn": "encoder.self_attn",
    "attn": "encoder.self_attn",
    "concat_linear": "encoder.self_attn",
    "feed_forward": "encoder.feed_forward",
    "feed_forward_macaron": "encoder.feed_forward",
    "conv_module": "encoder.conv",
    "cgmlp": "encoder.conv",
    "depthwise_conv_fusion": "encoder.conv",
    "merge_proj": "encoder.conv",
}
_DECODER_ROLES = {
    "self_attn": "decoder.self_attn",
    "concat_linear1": "decoder.self_attn",
    "src_attn": "decoder.cross_attn",
    "concat_linear2": "decoder.cross_attn",
    "feed_forward": "decoder.feed_forward",
}
_ENDS = {
    ("encoder", "embed"): "encoder.subsampling",
    ("encoder", "after_norm"): "encoder.norm",
    ("decoder", "embed"): "decoder.embed",
    ("decoder", "after_norm"): "decoder.norm",
    ("decoder", "output_layer"): "decoder.output",
}


def find_group(name: str) -> str:
    """The group of a parameter or layer by its ESPnet path; raises ValueError for a path that belongs to none (frontend, normalize)."""
    parts = name.split(".")
    if parts[0] in ("ctc", "st_ctc"):
        return "ctc"
    if tuple(parts[:2]) in _ENDS:
        return _ENDS[parts[0], parts[1]]
    if parts[:2] == ["encoder", "encoders"] and len(parts) > 3:
        return "encoder.norm" if parts[3].startswith("norm") else _ENCODER_ROLES[parts[3]]
    if parts[:2] == ["decoder", "decoders"] and len(parts) > 3:
        return "decoder.norm" if parts[3].startswith("norm") else _DECODER_ROLES[parts[3]]
    raise ValueError(f"a path must lie in encoder, decoder, ctc or st_ctc, got {name!r}")


def group_parameters(network: Network) -> dict[str, tuple[str, ...]]:
    """Names of the inference parameters of every group, norms and biases included, in the order of `GROUPS`."""
    grouped: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, _ in inference_parameters(network):
        grouped[find_group(name)].append(name)
    return {group: tuple(names) for group, names in grouped.items() if names}


def inference_parameters(network: Network) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Names and parameters of encoder, decoder and the CTC over the output text, in network order: what a bundle computes."""
    output = f"{network.output_ctc_name}."
    return ((name, parameter) for name, parameter in network.named_parameters() if find_group(name) != "ctc" or name.startswith(output))


def build_inventory(network: Network) -> Inventory:
    """The layers of the inference part, in network order, and everything that belongs to none (norms, biases, position biases)."""
    kinds: dict[str, Kind | None] = {f"{path}.weight": _kind(module) for path, module in network.named_modules()}
    layers, vectors = [], []
    for name, parameter in inference_parameters(network):
        kind = kinds.get(name)
        if kind is None:
            vectors.append((name, parameter.numel()))
        else:
            path = name.removesuffix(".weight")
            layers.append(LayerInfo(path, find_group(path), tuple(parameter.shape), kind))
    blocks = (("encoder", len(network.encoder.encoders)), ("decoder", len(network.decoder.decoders)))
    heads = tuple((path, module.h) for path, module in network.named_modules() if isinstance(module, MultiHeadedAttention))
    return Inventory(tuple(layers), tuple(vectors), blocks, heads)


def _kind(module: torch.nn.Module) -> Kind | None:
    return next((kind for found, kind in _KINDS if isinstance(module, found)), None)
