"""The knobs of the quickstart over an inventory shaped like the bundled model's, with real axes, figures from a formula and no model."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.search.objective import Objective
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.bit_rules import BitRules
from paredown.space.axes.bits import BitsAxis
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.configuration import Configuration
from paredown.space.cost import layer_bytes
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import original_path, reduce_inventory

CHOICES = (2, 3, 4, 5, 6, 7, 8)
GROUPS = ("encoder.feed_forward", "encoder.self_attn", "decoder.feed_forward")
ORDER = (3, 2, 4, 1, 0)
OBJECTIVES = (
    Objective("quality", "maximize", "chrF"),
    Objective("latency_ms@cpu", "minimize", "ms", "log"),
    Objective("size_bytes", "minimize", "bytes", "log"),
)


@cache
def inventory(encoder: int = 8, decoder: int = 6, width: int = 160) -> Inventory:
    """As many blocks as that, their layers as the bundled model has them."""
    return Inventory(tuple(_layers(encoder, decoder, width)), (), (("encoder", encoder), ("decoder", decoder)))


def _layers(encoder: int, decoder: int, width: int) -> Iterator[LayerInfo]:
    hidden = 6 * width
    yield LayerInfo("encoder.embed.out.0", "encoder.subsampling", (width, 5 * width), "linear")
    for block in range(encoder):
        path = f"encoder.encoders.{block}"
        for role in ("q", "k", "v", "out", "pos"):
            yield LayerInfo(f"{path}.self_attn.linear_{role}", "encoder.self_attn", (width, width), "linear")
        for module in ("feed_forward", "feed_forward_macaron"):
            yield LayerInfo(f"{path}.{module}.w_1", "encoder.feed_forward", (hidden, width), "linear")
            yield LayerInfo(f"{path}.{module}.w_2", "encoder.feed_forward", (width, hidden), "linear")
        yield LayerInfo(f"{path}.conv_module.pointwise_conv1", "encoder.conv", (2 * width, width, 1), "conv")
    yield LayerInfo("decoder.embed.0", "decoder.embed", (1000, width), "embedding")
    for block in range(decoder):
        path = f"decoder.decoders.{block}"
        for module, group in (("self_attn", "decoder.self_attn"), ("src_attn", "decoder.cross_attn")):
            for role in ("q", "k", "v", "out"):
                yield LayerInfo(f"{path}.{module}.linear_{role}", group, (width, width), "linear")
        yield LayerInfo(f"{path}.feed_forward.w_1", "decoder.feed_forward", (hidden, width), "linear")
        yield LayerInfo(f"{path}.feed_forward.w_2", "decoder.feed_forward", (width, hidden), "linear")
    yield LayerInfo("decoder.output_layer", "decoder.output", (1000, width), "linear")


def sensitivity(model: Inventory) -> NDArray[np.float64]:
    """[layers, widths]: a quarter for every bit more, layers a hundredfold apart."""
    height = np.random.default_rng(5).lognormal(0.0, 1.2, (len(model.layers), 1))
    return np.asarray(height * 4.0 ** -np.array(CHOICES))


def bits_axis(model: Inventory, low: float = 3.0, high: float = 8.0, rules: BitRules | None = None) -> BitsAxis:
    extra: dict[str, Any] = {} if rules is None else {"rules": rules}
    return BitsAxis(model, [layer.path for layer in model.layers], CHOICES, sensitivity(model), low, high, **extra)


def make_space(model: Inventory | None = None, axes: Sequence[Axis] | None = None) -> SearchSpace:
    """Decoder blocks, hop, beam, three shares and average bits; every layer at 8 bits where no axis says otherwise."""
    model = inventory() if model is None else model
    blocks = dict(model.blocks)["decoder"]
    chosen = axes or (
        LayersAxis("decoder", blocks, [block for block in ORDER if block < blocks], min(3, blocks), blocks),
        InputAxis(160, (160, 200, 250)),
        DecodeAxis(beam_size=(1, 10)),
        SparsityAxis(GROUPS, 0.5),
        bits_axis(model),
    )
    return SearchSpace(chosen, Configuration(bits=tuple((layer.path, 8) for layer in model.layers)))


def values(configuration: Configuration, model: Inventory | None = None) -> tuple[float, ...]:
    """Quality, latency and bytes of a configuration; fewer blocks, bits and hypotheses cost quality."""
    model = inventory() if model is None else model
    left = reduce_inventory(model, configuration).layers
    bits, shares = configuration.bits_of, configuration.sparsity_of
    row = {layer.path: index for index, layer in enumerate(model.layers)}
    table = sensitivity(model)
    lost = sum(float(table[row[original_path(part.path)], CHOICES.index(bits[original_path(part.path)])]) for part in left)
    size = sum(layer_bytes(part, bits[original_path(part.path)], round(part.weights * (1 - shares.get(part.group, 0.0)))) for part in left)
    depth, hop, beam = (
        dict(configuration.keep).get("decoder", range(6)),
        configuration.input.hop_samples or 160,
        configuration.decode.beam_size,
    )
    quality = (
        -(float(6 - len(depth)) ** 1.5) - (hop - 160) / 45 - 2.0 / beam - 3.0 * lost - 15.0 * sum(share**3 for share in shares.values())
    )
    return quality, (20 + 8 * len(depth)) * (1 + 0.08 * beam) * 160 / hop, float(size)
