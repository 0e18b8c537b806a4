"""The E-Branchformer encoder's block: self-attention and a convolutional gating MLP side by side, merged by a depthwise convolution."""

from paredown.bundle.graphs.architecture import EncoderArchitecture
from paredown.bundle.graphs.attention import RelativePositions, build_self_attention
from paredown.bundle.graphs.encoder_conformer import as_rows, build_depthwise, build_feed_forward
from paredown.bundle.graphs.graph import GraphBuilder
from paredown.bundle.graphs.residual import Residual


def build_e_branchformer_block(
    builder: GraphBuilder, architecture: EncoderArchitecture, stream: Residual, path: str, relative: RelativePositions | None, block: int
) -> None:
    """Take the stream [T, width] through one block."""
    macaron = builder.layout.has(f"{path}.feed_forward_macaron.w_1")
    factor = 0.5 if macaron else 1.0
    if macaron:
        x = stream.enter(f"{path}.norm_ff_macaron")
        stream.leave(build_feed_forward(builder, architecture, x, f"{path}.feed_forward_macaron", factor), f"{path}.norm_ff_macaron")
    x = stream.enter(f"{path}.norm_mha")
    attended = build_self_attention(builder, architecture, x, f"{path}.attn", relative, block)
    gated = _build_gating_mlp(builder, architecture, builder.layer_norm(stream.x, f"{path}.norm_mlp"), f"{path}.cgmlp")
    both = builder.node("Concat", [attended, gated], axis=-1)
    fusion = f"{path}.depthwise_conv_fusion"
    convolved = as_rows(builder, build_depthwise(builder, both, fusion), builder.layout.outputs(fusion))
    stream.leave(builder.linear(builder.node("Add", [both, convolved]), f"{path}.merge_proj"), f"{path}.norm_mha")
    if builder.layout.has(f"{path}.feed_forward.w_1"):
        x = stream.enter(f"{path}.norm_ff")
        stream.leave(build_feed_forward(builder, architecture, x, f"{path}.feed_forward", factor), f"{path}.norm_ff")
    stream.normalize(f"{path}.norm_final")


def _build_gating_mlp(builder: GraphBuilder, architecture: EncoderArchitecture, x: str, path: str) -> str:
    """channel_proj2(half * gate(other half)): x [T, width] -> [T, width]."""
    hidden = builder.activation(builder.linear(x, f"{path}.channel_proj1.0"), "gelu")
    value, gate = builder.node_outputs("Split", [hidden], 2, axis=-1, num_outputs=2)
    gate = build_depthwise(builder, builder.layer_norm(gate, f"{path}.csgu.norm"), f"{path}.csgu.conv")
    gate = as_rows(builder, gate, builder.layout.outputs(f"{path}.csgu.conv"))
    if builder.layout.has(f"{path}.csgu.linear"):
        gate = builder.linear(gate, f"{path}.csgu.linear")
    return builder.linear(builder.node("Mul", [value, builder.activation(gate, architecture.gate_activation)]), f"{path}.channel_proj2")
