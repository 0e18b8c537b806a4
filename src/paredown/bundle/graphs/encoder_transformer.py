"""The Transformer encoder's block."""

from paredown.bundle.graphs.architecture import EncoderArchitecture
from paredown.bundle.graphs.attention import RelativePositions, build_self_attention
from paredown.bundle.graphs.encoder_conformer import build_feed_forward
from paredown.bundle.graphs.graph import GraphBuilder
from paredown.bundle.graphs.residual import Residual


def build_transformer_block(
    builder: GraphBuilder, architecture: EncoderArchitecture, stream: Residual, path: str, relative: RelativePositions | None, block: int
) -> None:
    """Take the stream [T, width] through one block."""
    x = stream.enter(f"{path}.norm1")
    attended = build_self_attention(builder, architecture, x, f"{path}.self_attn", relative, block)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear"), f"{path}.norm1")
    x = stream.enter(f"{path}.norm2")
    stream.leave(build_feed_forward(builder, architecture, x, f"{path}.feed_forward"), f"{path}.norm2")
