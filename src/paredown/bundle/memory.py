"""How much memory a bundle's graphs take while they run, as numbers for the manifest: what the runtime refuses too long audio by.

Upper estimates, of the largest arrays that are there at a time, in bytes a feature frame F or a pair of frames F^2:

- for a frame the largest of: the outputs of the input layer's convolutions, with the patches of an unfolded one (uint8, gathered and then
  ordered); the rows of the blocks' widest layers; the features' windowed frames and spectra;
- for a pair of frames: scores, bias and shifted bias of the encoder states, [heads, S, S] each, where positions are relative (with absolute
  ones onnxruntime never holds all pairs).

The factors are from measured peaks of onnxruntime 1.31 on CPUs (blocks of width 256, every encoder and input layer, 20 to 300 s of audio),
with the allocator's own rounding up in them: the estimates lay 1.05 to 2 times above.
"""

from collections.abc import Mapping
from math import isqrt, prod

from paredown.bundle.graphs.architecture import STRIDES, Architecture, EncoderArchitecture
from paredown.bundle.tensor_form import TensorForm
from paredown.runtime.audio_limits import MemoryNeed
from paredown.runtime.features import bytes_of_frame

_OUTPUT_COPIES, _UNFOLDED_OUTPUT_COPIES, _PATCH_COPIES = 1.4, 2.0, 2.0
_PAIR_COPIES: Mapping[str, float] = {"relative": 6.5, "relative_legacy": 3.5, "absolute": 0.0, "scaled_absolute": 0.0}
_ROW_COPIES = 8.0  # arrays [S, widest layer]
_NODE_COPIES = 2.0  # a step's pools of keys and values are there before and after it


def estimate_memory(architecture: Architecture, forms: Mapping[str, TensorForm], n_fft: int) -> MemoryNeed:
    """What the graphs over stored tensors of these forms take."""
    encoder, decoder = architecture.encoder, architecture.decoder
    strides = STRIDES[encoder.input_layer]
    frames_per_state = prod(strides)
    shapes = {name: form.shape for name, form in forms.items()}
    widest = max(shape[0] for name, shape in shapes.items() if name.startswith("encoder.encoders.") and len(shape) > 1)
    has_ctc = any(name.startswith(("ctc.", "st_ctc.")) for name in shapes)
    memory_units, node_units = (_units(shapes, f"{attention}.linear_k.weight") for attention in ("src_attn", "self_attn"))
    rows = _ROW_COPIES * 4 * widest + 16 * memory_units + (12 * decoder.tokens if has_ctc else 0)
    input_bytes = _input_bytes(shapes, strides, architecture.mels)
    return MemoryNeed(
        frame_bytes=round(max(input_bytes, rows / frames_per_state, bytes_of_frame(n_fft))),
        frame_pair_bytes=round(_PAIR_COPIES[encoder.positions] * 4 * _most_heads(shapes, encoder) / frames_per_state**2, 3),
        node_bytes=round(_NODE_COPIES * 8 * node_units),
        frames_per_state=frames_per_state,
    )


def _units(shapes: Mapping[str, tuple[int, ...]], role: str) -> int:
    """Output channels of the decoder's layers of one role, in all blocks together."""
    return sum(shape[0] for name, shape in shapes.items() if name.startswith("decoder.decoders.") and name.endswith(role))


def _most_heads(shapes: Mapping[str, tuple[int, ...]], encoder: EncoderArchitecture) -> int:
    """Of the block with the most heads; blocks take turns."""
    queries = (shape[0] for name, shape in shapes.items() if name.startswith("encoder.encoders.") and name.endswith(".linear_q.weight"))
    return max(queries) // encoder.head_units


def _input_bytes(shapes: Mapping[str, tuple[int, ...]], strides: tuple[int, ...], mels: int) -> float:
    """Bytes a feature frame of the input layer's convolutions."""
    total, bands, channels, rate = 0.0, mels, 1, 1.0
    for index, stride in enumerate(strides):
        shape = shapes[f"encoder.embed.conv.{2 * index}.weight"]
        unfolded = len(shape) == 2  # [out, kernel * kernel * in]
        kernel = isqrt(shape[1] // channels) if unfolded else shape[2]
        bands, rate = (bands - kernel) // stride + 1, rate / stride
        total += (_UNFOLDED_OUTPUT_COPIES if unfolded else _OUTPUT_COPIES) * 4 * shape[0] * bands * rate
        total += _PATCH_COPIES * shape[1] * bands * rate if unfolded else 0.0
        channels = shape[0]
    return total
