"""Self-attention of the encoder: plain, and with relative positions (ESPnet's latest and legacy forms).

Every attention has the heads that its weights have: blocks may differ in their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from paredown.bundle.graphs.architecture import DecoderArchitecture, EncoderArchitecture
from paredown.bundle.graphs.graph import MICROSOFT, GraphBuilder
from paredown.bundle.graphs.positions import encode_positions, legacy_relative_positions, relative_positions

_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RelativePositions:
    """T as int64 [1], and of each block the shape that realigns position scores and its positions [1, heads, dk, n]."""

    frames: str
    rows_shapes: tuple[str, ...]
    projected: tuple[str, ...]


def attend(builder: GraphBuilder, heads: int, query: str, key: str, value: str, bias: str = "") -> str:
    """softmax(query key' / sqrt(dk) + bias) value.

    query [batch, rows, width]; key and value [batch, n, width] or [batch, heads, n, dk]; bias [batch, heads or 1, rows, n].
    Returns [batch, rows, width].
    """
    inputs = [query, key, value] + (["", "", bias] if bias else [])
    return builder.node("MultiHeadAttention", inputs, MICROSOFT, num_heads=heads)


def project_positions(builder: GraphBuilder, architecture: EncoderArchitecture, x: str, paths: Sequence[str]) -> RelativePositions:
    """Relative positions for the T rows of x through `linear_pos` of every attention in one product, divided by sqrt(dk).

    They are 2T in the latest form and T in the legacy form.
    """
    legacy = architecture.positions == "relative_legacy"
    places = legacy_relative_positions(builder, x, architecture.max_positions) if legacy else relative_positions(builder, x)
    encoded = encode_positions(builder, places, architecture.width)
    dk, heads = architecture.head_units, [count_heads(builder, architecture, path) for path in paths]
    joint = builder.linear(encoded, *(f"{path}.linear_pos" for path in paths), factors=[1 / sqrt(dk)] * len(paths))
    projected = _split_positions(builder, joint, heads, dk)
    frames = builder.node("Shape", [x], start=0, end=1)
    shapes: dict[int, str] = {}
    for count in heads:
        if count not in shapes:
            parts = [builder.constant([1]), builder.constant([count]), frames, builder.constant([-1])]
            shapes[count] = builder.node("Concat", parts, axis=0)
    return RelativePositions(frames, tuple(shapes[count] for count in heads), tuple(projected))


def _split_positions(builder: GraphBuilder, joint: str, heads: Sequence[int], dk: int) -> list[str]:
    """Positions of all blocks side by side [n, sum of heads * dk] as those of each, [1, heads, dk, n]; at once where heads are equal."""
    blocks = len(heads)
    if len(set(heads)) == 1:
        by_head = builder.node("Transpose", [builder.reshape(joint, -1, blocks, heads[0], dk)], perm=[1, 2, 3, 0])
        return [by_head] if blocks == 1 else builder.node_outputs("Split", [by_head], blocks, axis=0, num_outputs=blocks)
    sizes = builder.constant([count * dk for count in heads])
    parts = builder.node_outputs("Split", [joint, sizes], blocks, axis=-1)
    apart = [builder.reshape(part, -1, 1, count, dk) for part, count in zip(parts, heads, strict=True)]
    return [builder.node("Transpose", [part], perm=[1, 2, 3, 0]) for part in apart]


def count_heads(builder: GraphBuilder, architecture: EncoderArchitecture | DecoderArchitecture, path: str) -> int:
    """Heads that the attention `path` has."""
    return builder.layout.outputs(f"{path}.linear_q") // architecture.head_units


def build_self_attention(
    builder: GraphBuilder, architecture: EncoderArchitecture, x: str, path: str, relative: RelativePositions | None, block: int
) -> str:
    """x [T, width] -> [T, width]. `relative`: None for absolute positions; `block` counts the kept blocks."""
    width = builder.layout.outputs(f"{path}.linear_q")
    joint = builder.linear(x, *(f"{path}.linear_{part}" for part in "qkv"))
    query, key, value = builder.node_outputs("Split", [builder.reshape(joint, 1, -1, 3 * width)], 3, axis=-1, num_outputs=3)
    bias = ""
    if relative is not None:
        bias = _build_position_bias(builder, architecture, query, path, relative, block)
        query = builder.node("Add", [query, builder.parameter(f"{path}.pos_bias_u", (width,))])
    context = attend(builder, count_heads(builder, architecture, path), query, key, value, bias)
    return builder.linear(builder.reshape(context, -1, width), f"{path}.linear_out")


def _build_position_bias(
    builder: GraphBuilder, architecture: EncoderArchitecture, query: str, path: str, relative: RelativePositions, block: int
) -> str:
    """The position term of the attention scores, [1, heads, T, T]."""
    heads = count_heads(builder, architecture, path)
    width = builder.layout.outputs(f"{path}.linear_q")
    biased = builder.node("Add", [query, builder.parameter(f"{path}.pos_bias_v", (width,))])
    by_head = builder.node("Transpose", [builder.reshape(biased, 1, -1, heads, width // heads)], perm=[0, 2, 1, 3])
    scores = builder.node("MatMul", [by_head, relative.projected[block]])
    shift = _shift_legacy if architecture.positions == "relative_legacy" else _shift
    shifted = shift(builder, scores, relative.frames, relative.rows_shapes[block])
    return builder.node("Trilu", [shifted], upper=0) if architecture.zero_triu else shifted


def _shift(builder: GraphBuilder, scores: str, frames: str, rows_shape: str) -> str:
    """[1, heads, T, 2T] by position T - m at column m -> [1, heads, T, T] by position i - j at [i, j].

    Entry (i, T - i + j) lies at flat index T + i (2T - 1) + j: so T numbers are dropped and the rest is read in rows of 2T - 1.
    """
    flat = builder.reshape(scores, 0, 0, -1)
    aligned = builder.node("Slice", [flat, frames, builder.constant([_END]), builder.constant([2])])
    rows = builder.node("Reshape", [aligned, rows_shape])
    return builder.node("Slice", [rows, builder.constant([0]), frames, builder.constant([3])])


def _shift_legacy(builder: GraphBuilder, scores: str, frames: str, rows_shape: str) -> str:
    """ESPnet's old shift of [1, heads, T, T]: a zero column in front, read as [T + 1, T], first row dropped (flat: T numbers dropped)."""
    padded = builder.node("Pad", [scores, builder.constant([0, 0, 0, 1, 0, 0, 0, 0])])
    flat = builder.reshape(padded, 0, 0, -1)
    aligned = builder.node("Slice", [flat, frames, builder.constant([_END]), builder.constant([2])])
    return builder.node("Reshape", [aligned, rows_shape])
