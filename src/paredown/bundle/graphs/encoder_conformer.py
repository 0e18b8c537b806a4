"""The Conformer encoder: macaron feed-forwards, self-attention, convolution module."""

from paredown.bundle.graphs.architecture import EncoderArchitecture
from paredown.bundle.graphs.attention import RelativePositions, build_self_attention
from paredown.bundle.graphs.graph import GraphBuilder
from paredown.bundle.graphs.residual import Residual


def build_feed_forward(builder: GraphBuilder, architecture: EncoderArchitecture, x: str, path: str, factor: float = 1.0) -> str:
    """w_2(activation(w_1(x))) times `factor`, folded into w_2: x [T, width] -> [T, width]."""
    hidden = builder.activation(builder.linear(x, f"{path}.w_1"), architecture.activation)
    return builder.linear(hidden, f"{path}.w_2", factors=[factor])


def build_depthwise(builder: GraphBuilder, x: str, path: str) -> str:
    """Depthwise convolution over time that keeps the length: x [T, units] -> [1, units, 1, T].

    As an image of height 1: onnxruntime's blocked kernels, ten times as fast here, take 2-d convolutions only.
    """
    units, _, kernel = builder.layout.shapes[f"{path}.weight"]
    weight = builder.parameter(f"{path}.weight", (units, 1, 1, kernel))
    bias = [builder.parameter(f"{path}.bias")] if builder.layout.has(f"{path}.bias") else []
    by_unit = builder.node("Transpose", [builder.reshape(x, 1, 1, -1, units)], perm=[0, 3, 1, 2])
    margin = (kernel - 1) // 2
    return builder.node("Conv", [by_unit, weight, *bias], group=units, pads=[0, margin, 0, margin])


def as_rows(builder: GraphBuilder, x: str, units: int) -> str:
    """[1, units, 1, T] -> [T, units]."""
    return builder.reshape(builder.node("Transpose", [x], perm=[0, 2, 3, 1]), -1, units)


def build_conformer_block(
    builder: GraphBuilder, architecture: EncoderArchitecture, stream: Residual, path: str, relative: RelativePositions | None, block: int
) -> None:
    """Take the stream [T, width] through one block."""
    macaron = builder.layout.has(f"{path}.feed_forward_macaron.w_1")
    convolution = builder.layout.has(f"{path}.conv_module.pointwise_conv1")
    factor = 0.5 if macaron else 1.0
    if macaron:
        x = stream.enter(f"{path}.norm_ff_macaron")
        stream.leave(build_feed_forward(builder, architecture, x, f"{path}.feed_forward_macaron", factor), f"{path}.norm_ff_macaron")
    x = stream.enter(f"{path}.norm_mha")
    attended = build_self_attention(builder, architecture, x, f"{path}.self_attn", relative, block)
    stream.leave(builder.concat_linear(x, attended, f"{path}.concat_linear"), f"{path}.norm_mha")
    if convolution:
        x = stream.enter(f"{path}.norm_conv")
        stream.leave(_build_convolution_module(builder, architecture, x, f"{path}.conv_module"), f"{path}.norm_conv")
    x = stream.enter(f"{path}.norm_ff")
    stream.leave(build_feed_forward(builder, architecture, x, f"{path}.feed_forward", factor), f"{path}.norm_ff")
    if convolution:
        stream.normalize(f"{path}.norm_final")


def _build_convolution_module(builder: GraphBuilder, architecture: EncoderArchitecture, x: str, path: str) -> str:
    """Pointwise, gated linear unit, depthwise (batch norm folded in when the bundle is written), activation, pointwise."""
    value, gate = builder.node_outputs("Split", [builder.linear(x, f"{path}.pointwise_conv1")], 2, axis=-1, num_outputs=2)
    gated = builder.node("Mul", [value, builder.node("Sigmoid", [gate])])
    convolved = builder.activation(build_depthwise(builder, gated, f"{path}.depthwise_conv"), architecture.activation)
    rows = as_rows(builder, convolved, builder.layout.outputs(f"{path}.depthwise_conv"))
    return builder.linear(rows, f"{path}.pointwise_conv2")
