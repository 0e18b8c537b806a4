"""Every operation of a network as a value: what it multiplies, how large it is, and how often it runs.

Read off the shapes of the layers and the few facts that shapes do not tell (`Structure`); nothing is built. It follows what the runtime
computes, not what ESPnet does:

- the encoder runs once; relative positions are 2S in the latest form, one more than ESPnet takes, and S in the legacy form;
- keys and values of the memory are projected once for all decoder blocks, behind the encoder;
- a decoder step takes all hypotheses as rows; self-attention looks at every node of the pool that they share, seen or masked,
  cross-attention at every state of the memory;
- the CTC runs where the configuration decodes with one.

The features (a Fourier transform and mel filters, in NumPy) are no part of the network and are not listed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Literal, get_args

from paredown.space.configuration import Configuration, Kernel
from paredown.space.inventory import Inventory
from paredown.space.reduced import reduce_inventory

Positions = Literal["absolute", "relative", "relative_legacy"]
Stage = Literal["encoder", "ctc", "decoder"]
Kind = Literal["product", "convolution", "depthwise", "scores", "position_scores", "values", "lookup", "normalization", "softmax"]
Per = Literal[
    "image_row",  # a row of the image behind the convolutions up to this one
    "state",  # a frame behind the subsampling
    "position",  # a relative position
    "state_pair",  # two states: an entry of the attention's scores
    "position_pair",  # a state and a relative position
    "hypothesis",  # a row of a decoder step
    "node_pair",  # a hypothesis and a node of the pool, itself among them
    "memory_pair",  # a hypothesis and a state of the memory
]
_PER_OF_STEPS: tuple[Per, ...] = ("hypothesis", "node_pair", "memory_pair")


@dataclass(frozen=True)
class Structure:
    """What a network computes beyond its layers' shapes. `strides`: of the subsampling's convolutions; `mels`: bands of its input.

    `encoder_heads` and `decoder_heads`: of the uncompressed model, whose heads have as many units as is the model's width divided by them.
    """

    mels: int
    strides: tuple[int, ...]
    positions: Positions
    encoder_heads: int
    decoder_heads: int

    def __post_init__(self) -> None:
        for name in ("mels", "encoder_heads", "decoder_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides must be one or more whole numbers of at least 1, got {self.strides}")
        if self.positions not in get_args(Positions):
            raise ValueError(f"positions must be one of {', '.join(get_args(Positions))}, got {self.positions!r}")


@dataclass(frozen=True)
class Computed:
    """A weight matrix that is computed with: shape as in `LayerInfo`, or [out, kernel * kernel * in] of an unfolded 2-d convolution."""

    path: str
    shape: tuple[int, ...]
    kernel: Kernel


@dataclass(frozen=True)
class Operation:
    """One operation; all numbers are for one of what `per` names.

    `macs`: multiply-accumulates (0 for what only moves, adds or normalizes). `inputs` and `outputs`: numbers read and written. `weights`:
    the layer's weights, read once a call however many rows there are; 0 where nothing is stored. `image`: kernel and stride of the
    subsampling's convolutions up to this one, where `per` is "image_row".
    """

    path: str
    stage: Stage
    kind: Kind
    per: Per
    macs: int
    inputs: int
    outputs: int
    weights: int = 0
    kernel: Kernel = "fp32"
    image: tuple[tuple[int, int], ...] = ()

    @property
    def is_step(self) -> bool:
        """Whether it runs at every step of the decoder; the others run once an utterance."""
        return self.per in _PER_OF_STEPS


def list_operations(
    inventory: Inventory, configuration: Configuration, structure: Structure, kernels: Mapping[str, Kernel]
) -> tuple[Operation, ...]:
    """The operations of a configuration of the model. `kernels`: what computes each layer or factor (`paredown.bundle.graphs.kernels`).

    Raises ValueError like `paredown.space.reduced.check_reductions`.
    """
    with_ctc, reduced = configuration.decode.ctc_weight > 0, reduce_inventory(inventory, configuration)
    layers = [Computed(layer.path, layer.shape, kernels[layer.path]) for layer in reduced.layers if with_ctc or layer.group != "ctc"]
    return compute(layers, dict(reduced.vectors), structure)


def count_parameters(inventory: Inventory, configuration: Configuration) -> int:
    """Parameters that a configuration's bundle stores: what dropping, narrowing and factorizing leave, batch norms folded into the
    convolutions before them. Raises ValueError like `paredown.space.reduced.check_reductions`.
    """
    reduced = reduce_inventory(inventory, configuration)
    return reduced.parameters - sum(size for name, size in reduced.vectors if _is_batch_norm(name))


def compute(layers: Sequence[Computed], vectors: Mapping[str, int], structure: Structure) -> tuple[Operation, ...]:
    """The operations of these layers, and of the normalizations among the other parameters `vectors`, name -> size."""
    found: list[Operation] = list(_subsampling([layer for layer in layers if layer.path.startswith("encoder.embed.conv.")], structure))
    for layer in layers:
        if not layer.path.startswith("encoder.embed.conv."):
            found.append(_of_layer(layer))
        if layer.path.endswith(".linear_q"):
            found.extend(_of_attention(layer, structure))
        if layer.path == "decoder.output_layer" or find_stage(layer.path) == "ctc":
            per: Per = "hypothesis" if find_stage(layer.path) == "decoder" else "state"
            found.append(_unweighted(layer.path, "softmax", per, layer.shape[0], layer.shape[0]))
    for name, size in vectors.items():
        if _is_norm(name):
            path = name.removesuffix(".weight")
            found.append(_unweighted(path, "normalization", "hypothesis" if find_stage(path) == "decoder" else "state", size, size))
    return tuple(found)


def find_stage(path: str) -> Stage:
    """The graph that a layer is computed in: keys and values of the memory in the encoder's."""
    if path.startswith("decoder.") and not path.endswith((".src_attn.linear_k", ".src_attn.linear_v")):
        return "decoder"
    return "ctc" if path.startswith(("ctc.", "st_ctc.")) else "encoder"


def _of_layer(layer: Computed) -> Operation:
    """A layer other than the subsampling's convolutions: [out, in], [out, in, 1] pointwise, [channels, 1, kernel] depthwise."""
    path, (outputs, inputs, *rest) = layer.path, layer.shape
    stage = find_stage(path)
    per: Per = "position" if path.endswith(".linear_pos") else "hypothesis" if stage == "decoder" else "state"
    if path.startswith("decoder.embed."):
        return Operation(path, stage, "lookup", per, 0, inputs, inputs, outputs * inputs, layer.kernel)
    if rest and rest != [1]:
        return Operation(path, stage, "depthwise", per, prod(layer.shape), outputs, outputs, prod(layer.shape), layer.kernel)
    return Operation(path, stage, "product", per, outputs * inputs, inputs, outputs, outputs * inputs, layer.kernel)


def _of_attention(query: Computed, structure: Structure) -> Iterator[Operation]:
    """Scores, softmax and weighted values of the attention that a layer `linear_q` belongs to."""
    path, (width, model_width) = query.path.removesuffix(".linear_q"), query.shape
    pair: Per = "state_pair"
    all_heads = structure.encoder_heads
    if path.startswith("decoder."):
        pair, all_heads = ("memory_pair" if path.endswith(".src_attn") else "node_pair"), structure.decoder_heads
    heads = width * all_heads // model_width
    if pair == "state_pair" and structure.positions != "absolute":
        yield _unweighted(path, "position_scores", "position_pair", width, heads, macs=width)
    yield _unweighted(path, "scores", pair, width, heads, macs=width)
    yield _unweighted(path, "softmax", pair, heads, heads)
    yield _unweighted(path, "values", pair, heads, width, macs=width)


def _subsampling(convolutions: Sequence[Computed], structure: Structure) -> Iterator[Operation]:
    bands, channels, image = structure.mels, 1, []
    for layer, stride in zip(convolutions, structure.strides, strict=True):
        outputs = layer.shape[0]
        kernel = isqrt(layer.shape[1] // channels) if len(layer.shape) == 2 else layer.shape[2]
        image.append((kernel, stride))
        before, bands = bands, (bands - kernel) // stride + 1
        weights = outputs * channels * kernel * kernel
        numbers = weights * bands, before * channels * stride, outputs * bands, weights
        yield Operation(layer.path, "encoder", "convolution", "image_row", *numbers, layer.kernel, tuple(image))
        channels = outputs


def _unweighted(path: str, kind: Kind, per: Per, inputs: int, outputs: int, macs: int = 0) -> Operation:
    return Operation(path, find_stage(path), kind, per, macs, inputs, outputs)


def _is_norm(name: str) -> bool:
    """Whether a parameter is the gain of a layer normalization."""
    role = name.removesuffix(".weight").rpartition(".")[2]
    return name.endswith(".weight") and role.startswith(("norm", "after_norm")) and not _is_batch_norm(name)


def _is_batch_norm(name: str) -> bool:
    return name.endswith(("conv_module.norm.weight", "conv_module.norm.bias"))
