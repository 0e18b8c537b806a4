"""The decoder graph: one step of all beams.

Beams are rows, [beam, width]. Self-attention takes every beam as an utterance of its own, with its own cache; cross-attention takes
them all as queries of one utterance, so that the memory's keys and values are there once. The caches' rows are reordered first:
beam i continues the hypothesis that was row `order[i]`.
"""

from collections.abc import Sequence
from math import sqrt

from onnx import TensorProto

from paredown.bundle.architecture import Architecture, DecoderArchitecture
from paredown.bundle.attention import attend
from paredown.bundle.graph import MICROSOFT, Graph, GraphBuilder, WeightLayout
from paredown.bundle.positions import encode_position
from paredown.bundle.residual import Residual


def build_decoder(architecture: Architecture, layout: WeightLayout, keep: Sequence[int]) -> Graph:
    """One step of the kept blocks (original indices); block i of them has the caches `self_keys_i` and `self_values_i`.

    Inputs: `tokens` int64 [beam], `position` int64 [1] (0 first), `order` int64 [beam], `k` int64 [1], and of every block
    `self_keys_i`, `self_values_i` [beam_in, heads, t, dk] and `memory_keys_i`, `memory_values_i` [1, heads, S, dk].
    Outputs: the k best `scores` (log posteriors, descending) and their token `ids` [beam, k], `new_self_keys_i` and
    `new_self_values_i` [beam, heads, t + 1, dk], and all `log_probs` [beam, tokens].
    """
    decoder = architecture.decoder
    builder = GraphBuilder("decoder", layout)
    tokens = builder.input("tokens", ["beam"], TensorProto.INT64)
    position = builder.input("position", [1], TensorProto.INT64)
    builder.input("order", ["beam"], TensorProto.INT64)
    k = builder.input("k", [1], TensorProto.INT64)
    embedded = builder.embedding(tokens, "decoder.embed.0", sqrt(decoder.width))
    x = builder.node("Add", [embedded, encode_position(builder, position, decoder.width)])
    stream = Residual(builder, x, decoder.normalize_before)
    for layer, index in enumerate(keep):
        _build_block(builder, decoder, stream, f"decoder.decoders.{index}", layer)
    if decoder.normalize_before:
        stream.normalize("decoder.after_norm")
    log_probs = builder.node("LogSoftmax", [builder.linear(stream.x, "decoder.output_layer")], axis=-1)
    scores, ids = builder.node_outputs("TopK", [log_probs, k], 2, axis=-1)
    builder.output(scores, "scores", ["beam", "k"])
    builder.output(ids, "ids", ["beam", "k"], TensorProto.INT64)
    builder.output(log_probs, "log_probs", ["beam", decoder.tokens])
    return builder.build()


def _build_block(builder: GraphBuilder, decoder: DecoderArchitecture, stream: Residual, path: str, layer: int) -> None:
    x = stream.enter(f"{path}.norm1")
    attended = _build_self_attention(builder, decoder, x, f"{path}.self_attn", layer)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear1"), f"{path}.norm1")
    x = stream.enter(f"{path}.norm2")
    attended = _build_cross_attention(builder, decoder, x, f"{path}.src_attn", layer)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear2"), f"{path}.norm2")
    x = stream.enter(f"{path}.norm3")
    hidden = builder.node("Relu", [builder.linear(x, f"{path}.feed_forward.w_1")])
    stream.leave(builder.linear(hidden, f"{path}.feed_forward.w_2"), f"{path}.norm3")


def _build_self_attention(builder: GraphBuilder, decoder: DecoderArchitecture, x: str, path: str, layer: int) -> str:
    """Over each beam's cache and itself; the grown caches are outputs of the graph."""
    width = builder.layout.outputs(f"{path}.linear_q")
    dk = width // decoder.heads
    joint = builder.linear(x, *(f"{path}.linear_{part}" for part in "qkv"))
    parts = builder.node_outputs("Split", [builder.reshape(joint, -1, 1, 3 * width)], 3, axis=-1, num_outputs=3)
    caches = []
    for name in (f"self_keys_{layer}", f"self_values_{layer}"):
        cache = builder.input(name, ["beam_in", decoder.heads, "t", dk])
        caches.append(builder.node("Gather", [cache, "order"], axis=0))
    inputs = [*parts, "", "", "", *caches]
    context, keys, values = builder.node_outputs("MultiHeadAttention", inputs, 3, MICROSOFT, num_heads=decoder.heads)
    for value, name in ((keys, f"new_self_keys_{layer}"), (values, f"new_self_values_{layer}")):
        builder.output(value, name, ["beam", decoder.heads, "t_next", dk])
    return builder.linear(builder.reshape(context, -1, width), f"{path}.linear_out")


def _build_cross_attention(builder: GraphBuilder, decoder: DecoderArchitecture, x: str, path: str, layer: int) -> str:
    """Over the memory, all beams as queries of one utterance."""
    width = builder.layout.outputs(f"{path}.linear_q")
    query = builder.reshape(builder.linear(x, f"{path}.linear_q"), 1, -1, width)
    dims: list[int | str] = [1, decoder.heads, "states", width // decoder.heads]
    keys, values = builder.input(f"memory_keys_{layer}", dims), builder.input(f"memory_values_{layer}", dims)
    context = attend(builder, decoder.heads, query, keys, values)
    return builder.linear(builder.reshape(context, -1, width), f"{path}.linear_out")
