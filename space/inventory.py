"""What a model offers to compression: its weight matrices, in the order of the network.

The inventory is the only thing the search space knows of a model, so that the space needs no torch.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

Kind = Literal["linear", "conv", "embedding"]

GROUPS = (
    "encoder.subsampling",
    "encoder.feed_forward",
    "encoder.conv",
    "encoder.self_attn",
    "encoder.norm",
    "decoder.embed",
    "decoder.self_attn",
    "decoder.cross_attn",
    "decoder.feed_forward",
    "decoder.norm",
    "decoder.output",
    "ctc",
)


@dataclass(frozen=True)
class LayerInfo:
    """One weight matrix that is quantized on its own.

    `path` is its ESPnet module path with original indices (`encoder.encoders.3.feed_forward.w_1`), `shape` the shape of
    `path + ".weight"` in torch ([out, in] for linear, [out, in, *kernel] for conv, [tokens, units] for embedding).
    """

    path: str
    group: str
    shape: tuple[int, ...]
    kind: Kind

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"a layer's group must be one of {', '.join(GROUPS)}, got {self.group!r}")
        if len(self.shape) < 2:
            raise ValueError(f"a layer is a matrix of two or more dimensions, got shape {self.shape} for {self.path}")

    @property
    def weights(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """Number of output channels (rows): the granularity of per-channel scales."""
        return self.shape[0]


@dataclass(frozen=True)
class Inventory:
    """All layers of a model's inference part, in network order, and the parameters that belong to none (norms, biases).

    `blocks` gives the number of removable blocks of each stack, e.g. `(("encoder", 8), ("decoder", 6))`, `heads` that of every attention's
    heads, by its path.
    `vectors` maps the name of every other parameter that inference needs to its size.
    """

    layers: tuple[LayerInfo, ...]
    vectors: tuple[tuple[str, int], ...]
    blocks: tuple[tuple[str, int], ...]
    heads: tuple[tuple[str, int], ...] = ()

    @cached_property
    def by_path(self) -> dict[str, LayerInfo]:
        return {layer.path: layer for layer in self.layers}

    @cached_property
    def feed_forwards(self) -> dict[str, int]:
        """Hidden units of every feed-forward, by its path: of what has linear layers `w_1` and `w_2`, in network order."""
        linear = {path: layer for path, layer in self.by_path.items() if layer.kind == "linear"}
        hidden = {path.removesuffix(".w_1"): layer.channels for path, layer in linear.items() if path.endswith(".w_1")}
        return {path: units for path, units in hidden.items() if f"{path}.w_2" in self.by_path}

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups that hold at least one layer, in the order of `GROUPS`."""
        present = {layer.group for layer in self.layers}
        return tuple(group for group in GROUPS if group in present)

    @property
    def parameters(self) -> int:
        """Number of parameters inference needs."""
        return sum(layer.weights for layer in self.layers) + sum(size for _, size in self.vectors)


def block_of(path: str) -> tuple[str, int] | None:
    """Stack and original index of the block a parameter lies in: `decoder.decoders.2.src_attn.linear_q` -> ("decoder", 2)."""
    parts = path.split(".")
    if len(parts) > 2 and parts[:2] in (["encoder", "encoders"], ["decoder", "decoders"]) and parts[2].isdigit():
        return parts[0], int(parts[2])
    return None
