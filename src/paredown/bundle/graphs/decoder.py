"""The decoder graph: one step of all beams of one or more utterances.

Activations are [utterances, beams, width]. A beam's past is not a cache of its own: every token that a running hypothesis holds is a
*node*, its keys and values lie once in a pool of the utterance, and a mask says which nodes a beam descends from. So reordering beams
moves no cache (the mask's rows are reordered), prefixes that beams share are attended to once, and a step appends one node a beam.
Cross-attention takes all beams as queries of one utterance, so that the memory's keys and values are there once.
"""

from collections.abc import Sequence
from math import sqrt

from onnx import TensorProto

from paredown.bundle.graphs.architecture import Architecture, DecoderArchitecture
from paredown.bundle.graphs.attention import attend, count_heads
from paredown.bundle.graphs.graph import MICROSOFT, Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.positions import encode_position
from paredown.bundle.graphs.residual import Residual


def build_decoder(architecture: Architecture, layout: WeightLayout, keep: Sequence[int]) -> Graph:
    """One step of the kept blocks (original indices); block i of them has the node pools `self_keys_i` and `self_values_i`.

    Inputs: `tokens` int64 [utterances, beams], `position` int64 [utterances, 1, 1] (0 first), `k` int64 [1], the masks `node_mask`
    [utterances, 1, beams, nodes + beams] (this step's own nodes last) and `memory_mask` [utterances, 1, beams, S], added to the
    attention scores (0 or a very negative number), and of every block `self_keys_i`, `self_values_i` [utterances, heads, nodes, dk]
    and `memory_keys_i`, `memory_values_i` [utterances, heads, S, dk].
    Outputs: the k best `scores` (log posteriors, descending) and their token `ids` [utterances, beams, k], `new_self_keys_i` and
    `new_self_values_i` [utterances, heads, nodes + beams, dk], and all `log_probs` [utterances, beams, tokens].
    """
    decoder = architecture.decoder
    builder = GraphBuilder("decoder", layout)
    tokens = builder.input("tokens", ["utterances", "beams"], TensorProto.INT64)
    position = builder.input("position", ["utterances", 1, 1], TensorProto.INT64)
    k = builder.input("k", [1], TensorProto.INT64)
    builder.input("node_mask", ["utterances", 1, "beams", "nodes_next"])
    builder.input("memory_mask", ["utterances", 1, "beams", "states"])
    embedded = builder.embedding(tokens, "decoder.embed.0", sqrt(decoder.width))
    x = builder.node("Add", [embedded, encode_position(builder, position, decoder.width)])
    stream = Residual(builder, x, decoder.normalize_before)
    for layer, index in enumerate(keep):
        _build_block(builder, decoder, stream, f"decoder.decoders.{index}", layer)
    if decoder.normalize_before:
        stream.normalize("decoder.after_norm")
    log_probs = builder.node("LogSoftmax", [builder.linear(stream.x, "decoder.output_layer", rank=3)], axis=-1)
    scores, ids = builder.node_outputs("TopK", [log_probs, k], 2, axis=-1)
    builder.output(scores, "scores", ["utterances", "beams", "k"])
    builder.output(ids, "ids", ["utterances", "beams", "k"], TensorProto.INT64)
    builder.output(log_probs, "log_probs", ["utterances", "beams", decoder.tokens])
    return builder.build()


def _build_block(builder: GraphBuilder, decoder: DecoderArchitecture, stream: Residual, path: str, layer: int) -> None:
    x = stream.enter(f"{path}.norm1")
    attended = _build_self_attention(builder, decoder, x, f"{path}.self_attn", layer)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear1", rank=3), f"{path}.norm1")
    x = stream.enter(f"{path}.norm2")
    attended = _build_cross_attention(builder, decoder, x, f"{path}.src_attn", layer)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear2", rank=3), f"{path}.norm2")
    x = stream.enter(f"{path}.norm3")
    hidden = builder.node("Relu", [builder.linear(x, f"{path}.feed_forward.w_1", rank=3)])
    stream.leave(builder.linear(hidden, f"{path}.feed_forward.w_2", rank=3), f"{path}.norm3")


def _build_self_attention(builder: GraphBuilder, decoder: DecoderArchitecture, x: str, path: str, layer: int) -> str:
    """Over the pool's nodes that the mask lets a beam see, itself among them; the grown pools are outputs of the graph."""
    heads, dk = count_heads(builder, decoder, path), decoder.head_units
    joint = builder.linear(x, *(f"{path}.linear_{part}" for part in "qkv"), rank=3)
    parts = builder.node_outputs("Split", [joint], 3, axis=-1, num_outputs=3)
    pools = [builder.input(f"self_{name}_{layer}", ["utterances", heads, "nodes", dk]) for name in ("keys", "values")]
    inputs = [*parts, "", "", "node_mask", *pools]
    context, keys, values = builder.node_outputs("MultiHeadAttention", inputs, 3, MICROSOFT, num_heads=heads)
    for value, name in ((keys, f"new_self_keys_{layer}"), (values, f"new_self_values_{layer}")):
        builder.output(value, name, ["utterances", heads, "nodes_next", dk])
    return builder.linear(context, f"{path}.linear_out", rank=3)


def _build_cross_attention(builder: GraphBuilder, decoder: DecoderArchitecture, x: str, path: str, layer: int) -> str:
    """Over the memory, all beams of an utterance as its queries."""
    heads = count_heads(builder, decoder, path)
    query = builder.linear(x, f"{path}.linear_q", rank=3)
    dims: list[int | str] = ["utterances", heads, "states", decoder.head_units]
    keys, values = builder.input(f"memory_keys_{layer}", dims), builder.input(f"memory_values_{layer}", dims)
    context = attend(builder, heads, query, keys, values, "memory_mask")
    return builder.linear(context, f"{path}.linear_out", rank=3)
