"""Audio files to padded features, and how many states an encoder makes of them."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paredown.models.frontend import FrontendSettings, LogMelFrontend
from paredown.models.network import Network
from paredown.runtime.audio import ResamplingNote, read_audio


@torch.no_grad()
def hear(frontend: LogMelFrontend, files: Sequence[Path]) -> tuple[Tensor, Tensor, float]:
    """Log-mel features [files, frames, mels], not normalised and zero beyond a file's frames, their lengths, and seconds of audio.

    Raises BadInput, naming the file, for what is no audio.
    """
    rate_hz = frontend.settings.sample_rate_hz
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResamplingNote)
        waveforms = [read_audio(file, rate_hz) for file in files]
    samples = torch.tensor([len(waveform) for waveform in waveforms])
    padded = np.zeros((len(waveforms), int(samples.max())), np.float32)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = waveform
    features, frames = frontend(torch.from_numpy(padded), samples)
    return features, frames, float(samples.sum()) / rate_hz


def count_frames(seconds: float, frontend: FrontendSettings) -> int:
    """Feature frames of so much audio; 0 where it is too short to be reflected at its edges, or for one transform."""
    samples = ceil(round(seconds * frontend.sample_rate_hz, 6))
    if not frontend.center:
        return max(0, (samples - frontend.n_fft) // frontend.hop_samples + 1)
    return samples // frontend.hop_samples + 1 if samples > frontend.n_fft // 2 else 0


def count_states(frames: int, network: Network) -> int:
    """States that the encoder makes of so many frames, by the convolutions of its subsampling; 0: it does not take them."""
    for layer in network.encoder.embed.conv:
        if isinstance(layer, torch.nn.Conv2d):
            frames = (frames - int(layer.kernel_size[0])) // int(layer.stride[0]) + 1
    return max(0, frames)


def states_for_ctc(ids: Sequence[int]) -> int:
    """Fewest states in which a CTC can spell these ids: one each, and a blank between two that are equal."""
    return len(ids) + sum(1 for left, right in pairwise(ids) if left == right)
