"""Self-attention of the encoder: plain, and with relative positions (ESPnet's latest and legacy forms)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from paredown.bundle.graphs.architecture import EncoderArchitecture
from paredown.bundle.graphs.graph import MICROSOFT, GraphBuilder
from paredown.bundle.graphs.positions import encode_positions, legacy_relative_positions, relative_positions

_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RelativePositions:
    """What the blocks share: T as int64 [1], the shape that realigns position scores, and each block's positions [1, heads, dk, n]."""

    frames: str
    rows_shape: str
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
    dk = builder.layout.outputs(f"{paths[0]}.linear_pos") // architecture.heads
    joint = builder.linear(encoded, *(f"{path}.linear_pos" for path in paths), factors=[1 / sqrt(dk)] * len(paths))
    by_head = builder.node("Transpose", [builder.reshape(joint, -1, len(paths), architecture.heads, dk)], perm=[1, 2, 3, 0])
    projected = [by_head] if len(paths) == 1 else builder.node_outputs("Split", [by_head], len(paths), axis=0, num_outputs=len(paths))
    frames = builder.node("Shape", [x], start=0, end=1)
    heads_rows = [builder.constant([1]), builder.constant([architecture.heads]), frames, builder.constant([-1])]
    return RelativePositions(frames, builder.node("Concat", heads_rows, axis=0), tuple(projected))


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
    context = attend(builder, architecture.heads, query, key, value, bias)
    return builder.linear(builder.reshape(context, -1, width), f"{path}.linear_out")


def _build_position_bias(
    builder: GraphBuilder, architecture: EncoderArchitecture, query: str, path: str, relative: RelativePositions, block: int
) -> str:
    """The position term of the attention scores, [1, heads, T, T]."""
    heads = architecture.heads
    width = builder.layout.outputs(f"{path}.linear_q")
    biased = builder.node("Add", [query, builder.parameter(f"{path}.pos_bias_v", (width,))])
    by_head = builder.node("Transpose", [builder.reshape(biased, 1, -1, heads, width // heads)], perm=[0, 2, 1, 3])
    scores = builder.node("MatMul", [by_head, relative.projected[block]])
    shift = _shift_legacy if architecture.positions == "relative_legacy" else _shift
    shifted = shift(builder, scores, relative)
    return builder.node("Trilu", [shifted], upper=0) if architecture.zero_triu else shifted


def _shift(builder: GraphBuilder, scores: str, relative: RelativePositions) -> str:
    """[1, heads, T, 2T] by position T - m at column m -> [1, heads, T, T] by position i - j at [i, j].

    Entry (i, T - i + j) lies at flat index T + i (2T - 1) + j: so T numbers are dropped and the rest is read in rows of 2T - 1.
    """
    flat = builder.reshape(scores, 0, 0, -1)
    aligned = builder.node("Slice", [flat, relative.frames, builder.constant([_END]), builder.constant([2])])
    rows = builder.node("Reshape", [aligned, relative.rows_shape])
    return builder.node("Slice", [rows, builder.constant([0]), relative.frames, builder.constant([3])])


def _shift_legacy(builder: GraphBuilder, scores: str, relative: RelativePositions) -> str:
    """ESPnet's old shift of [1, heads, T, T]: a zero column in front, read as [T + 1, T], first row dropped (flat: T numbers dropped)."""
    padded = builder.node("Pad", [scores, builder.constant([0, 0, 0, 1, 0, 0, 0, 0])])
    flat = builder.reshape(padded, 0, 0, -1)
    aligned = builder.node("Slice", [flat, relative.frames, builder.constant([_END]), builder.constant([2])])
    return builder.node("Reshape", [aligned, relative.rows_shape])
