"""The encoder graph: features to the keys and values of the decoder's cross-attention."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

from paredown.bundle.graphs.architecture import Architecture, EncoderArchitecture
from paredown.bundle.graphs.attention import RelativePositions, count_heads, project_positions
from paredown.bundle.graphs.encoder_conformer import build_conformer_block
from paredown.bundle.graphs.encoder_e_branchformer import build_e_branchformer_block
from paredown.bundle.graphs.encoder_transformer import build_transformer_block
from paredown.bundle.graphs.graph import Graph, GraphBuilder, WeightLayout
from paredown.bundle.graphs.positions import ascending_positions, encode_positions
from paredown.bundle.graphs.residual import Residual
from paredown.bundle.graphs.subsampling import build_subsampling, scale_path

_Block = Callable[[GraphBuilder, EncoderArchitecture, Residual, str, RelativePositions | None, int], None]
_BLOCKS: Mapping[str, _Block] = {
    "conformer": build_conformer_block,
    "transformer": build_transformer_block,
    "e_branchformer": build_e_branchformer_block,
}


def build_encoder(architecture: Architecture, layout: WeightLayout, keep: Sequence[int], decoder_keep: Sequence[int]) -> Graph:
    """The encoder of the kept blocks (original indices), cross-attention projections of the kept decoder blocks included.

    Input `features` [frames, mels], normalized. Outputs `encoder_out` [S, width], `memory_keys` and `memory_values`
    [layers, heads, S, dk]; where layers differ in their heads [1, heads of all layers, S, dk].
    """
    encoder = architecture.encoder
    builder = GraphBuilder("encoder", layout)
    features = builder.input("features", ["frames", architecture.mels])
    stream, relative = _build_input(builder, architecture, features, keep)
    for block, index in enumerate(keep):
        _BLOCKS[encoder.kind](builder, encoder, stream, f"encoder.encoders.{index}", relative, block)
    if encoder.normalize_before:
        stream.normalize("encoder.after_norm")
    states = stream.x
    keys, values = _build_memory(builder, architecture, states, decoder_keep)
    layers, heads = _memory_heads(builder, architecture, decoder_keep)
    builder.output(states, "encoder_out", ["states", encoder.width])
    for value, name in ((keys, "memory_keys"), (values, "memory_values")):
        builder.output(value, name, [layers, heads, "states", architecture.decoder.head_units])
    return builder.build()


def _build_input(
    builder: GraphBuilder, architecture: Architecture, features: str, keep: Sequence[int]
) -> tuple[Residual, RelativePositions | None]:
    """Subsampled features with absolute positions added, or beside them the relative ones."""
    encoder = architecture.encoder
    scale = 1.0 if encoder.positions == "scaled_absolute" else sqrt(encoder.width)
    x = build_subsampling(builder, encoder, features, architecture.mels, scale)
    if encoder.positions.startswith("relative"):
        attention = "attn" if encoder.kind == "e_branchformer" else "self_attn"
        paths = [f"encoder.encoders.{index}.{attention}" for index in keep]
        return Residual(builder, x, encoder.normalize_before), project_positions(builder, encoder, x, paths)
    positions = encode_positions(builder, ascending_positions(builder, x), encoder.width)
    if encoder.positions == "scaled_absolute":
        positions = builder.node("Mul", [positions, builder.parameter(scale_path(encoder), (1,))])
    return Residual(builder, builder.node("Add", [x, positions]), encoder.normalize_before), None


def _build_memory(builder: GraphBuilder, architecture: Architecture, states: str, decoder_keep: Sequence[int]) -> list[str]:
    """Keys and values of every decoder block's cross-attention, all in one product: two of [layers, heads, S, dk] (see `build_encoder`)."""
    layers, heads = _memory_heads(builder, architecture, decoder_keep)
    paths = [f"decoder.decoders.{index}.src_attn.linear_{part}" for part in "kv" for index in decoder_keep]
    joint = builder.reshape(builder.linear(states, *paths), -1, 2 * layers, heads, architecture.decoder.head_units)
    return builder.node_outputs("Split", [builder.node("Transpose", [joint], perm=[1, 2, 0, 3])], 2, axis=0, num_outputs=2)


def _memory_heads(builder: GraphBuilder, architecture: Architecture, decoder_keep: Sequence[int]) -> tuple[int, int]:
    """The first two dimensions of the memory: layers and heads of each, or 1 and the heads of all."""
    heads = [count_heads(builder, architecture.decoder, f"decoder.decoders.{index}.src_attn") for index in decoder_keep]
    return (len(heads), heads[0]) if len(set(heads)) == 1 else (1, sum(heads))
