"""The convolutional input layers conv2d, conv2d1, conv2d2, conv2d6 and conv2d8.

onnxruntime has no fast int8 convolution for activations that are quantized at run time, and the second convolution is a quarter of an
int8 encoder. So a quantized one is unfolded: its input becomes uint8 once, patches are gathered in uint8 (channels last, so
that a patch is made of long runs), and one int8 product gives all outputs. Measured 3.5 times as fast as the fp32 convolution.
"""

from dataclasses import dataclass, replace

import numpy as np

from paredown.bundle.graphs.architecture import STRIDES, EncoderArchitecture
from paredown.bundle.graphs.graph import GraphBuilder
from paredown.bundle.graphs.positions import count_rows


@dataclass(frozen=True)
class _Image:
    """Frames by bands by channels: `value` is [1, channels, T, bands], or [T, bands, channels] where `channels_last`."""

    value: str
    bands: int
    channels: int
    channels_last: bool = False


def build_subsampling(builder: GraphBuilder, architecture: EncoderArchitecture, features: str, mels: int, scale: float) -> str:
    """Features [frames, mels] -> [S, width], times `scale` (folded into the last layer's weights)."""
    image = _Image(builder.node("Unsqueeze", [features, builder.constant([0, 1])]), mels, 1)
    for index, stride in enumerate(STRIDES[architecture.input_layer]):
        path = f"encoder.embed.conv.{2 * index}"
        image = (_unfold if path in builder.layout.unfolded else _convolve)(builder, image, path, stride)
    # ESPnet flattens channels before bands.
    rows = builder.node("Transpose", [image.value], perm=[0, 2, 1] if image.channels_last else [0, 2, 1, 3])
    return builder.linear(builder.reshape(rows, -1, image.channels * image.bands), output_path(architecture), factors=[scale])


def output_path(architecture: EncoderArchitecture) -> str:
    """Path of the linear layer behind the convolutions."""
    return "encoder.embed.out" if architecture.input_layer == "conv2d8" else "encoder.embed.out.0"


def scale_path(architecture: EncoderArchitecture) -> str:
    """Name of the learned scale of `scaled_abs_pos`."""
    return "encoder.embed.pos_enc.alpha" if architecture.input_layer == "conv2d8" else "encoder.embed.out.1.alpha"


def _convolve(builder: GraphBuilder, image: _Image, path: str, stride: int) -> _Image:
    if image.channels_last:
        first = builder.node("Transpose", [image.value], perm=[2, 0, 1])
        image = _Image(builder.node("Unsqueeze", [first, builder.constant([0])]), image.bands, image.channels)
    channels, _, _, kernel = builder.layout.shapes[f"{path}.weight"]
    inputs = [image.value, builder.parameter(f"{path}.weight"), builder.parameter(f"{path}.bias")]
    convolved = builder.node("Relu", [builder.node("Conv", inputs, strides=[stride, stride])])
    return _Image(convolved, (image.bands - kernel) // stride + 1, channels)


def _unfold(builder: GraphBuilder, image: _Image, path: str, stride: int) -> _Image:
    """The convolution as one product of its patches, in uint8 by int8 or (for the parity check) in fp32."""
    channels, kernel = builder.layout.outputs(path), builder.layout.unfolded[path]
    bands = (image.bands - kernel) // stride + 1
    in_int8 = builder.layout.kernel(path) == "int8"
    rounded = builder.quantize(image.value, path) if in_int8 else None
    value = image.value if rounded is None else rounded.codes
    if not image.channels_last:
        value = builder.node("Squeeze", [builder.node("Transpose", [value], perm=[0, 2, 3, 1]), builder.constant([0])])
    patches = _gather_patches(builder, value, image, kernel, stride, bands)
    product = builder.linear(patches, path) if rounded is None else builder.quantized_linear(replace(rounded, codes=patches), path)
    return _Image(builder.reshape(builder.node("Relu", [product]), -1, bands, channels), bands, channels, channels_last=True)


def _gather_patches(builder: GraphBuilder, value: str, image: _Image, kernel: int, stride: int, bands: int) -> str:
    """[T, bands in, channels] -> patches [T' * bands, kernel * kernel * channels], numbers ordered by frame, band, channel."""
    row = kernel * image.channels
    offsets = np.arange(kernel)
    of_bands = builder.constant((np.arange(bands)[:, None] * stride + offsets).reshape(-1))
    runs = builder.reshape(builder.node("Gather", [value, of_bands], axis=1), -1, bands, row)
    last = builder.node("Sub", [count_rows(builder, value), builder.constant(kernel - 1)])
    starts = builder.node("Range", [builder.constant(0), last, builder.constant(stride)])
    of_frames = builder.node("Add", [builder.reshape(starts, -1, 1), builder.constant(offsets)])
    windows = builder.node("Gather", [runs, of_frames], axis=0)  # [T', kernel, bands, row]
    return builder.reshape(builder.node("Transpose", [windows], perm=[0, 2, 1, 3]), -1, kernel * row)
