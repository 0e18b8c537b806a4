"""Reads audio: any file that libsndfile reads, or a waveform in memory, to mono float32 at the rate a model wants."""

from math import ceil, gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from paredown.errors import BadInput

Floats = NDArray[np.float32]
_ZERO_CROSSINGS = 32  # of the windowed sinc on each side
_KAISER_BETA = 8.0  # 80 dB of stopband
_CUT_OFF = 0.92  # share of the lower Nyquist frequency; so long a filter falls from 0.84 to 1.0 of it


def read_audio(path: Path, sample_rate_hz: int) -> Floats:
    """The file's samples [samples], channels averaged, resampled where its rate differs.

    Raises BadInput, naming the file, if it is missing, empty, no audio, or holds samples that are not finite.
    """
    if not path.is_file():
        raise BadInput(f"an audio file must exist, got {path}")
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"an audio file must be readable (WAV, FLAC, Ogg, Opus, MP3), got {path}: {reason}") from error
    return resample(check_waveform(samples, str(path)), rate_hz, sample_rate_hz)


def check_waveform(waveform: NDArray[Any], name: str) -> Floats:
    """Samples [samples] or [samples, channels] to mono float32; int16 is scaled to [-1, 1).

    Raises BadInput, with `name`, if there are no samples, too many dimensions, another integer type, or samples that are not finite.
    """
    if waveform.dtype == np.int16:
        waveform = waveform.astype(np.float32) / np.float32(32768.0)
    if not np.issubdtype(waveform.dtype, np.floating):
        raise BadInput(f"a waveform must be floating point or int16, got {waveform.dtype}: {name}")
    if waveform.ndim not in (1, 2):
        raise BadInput(f"a waveform must have the shape [samples] or [samples, channels], got {list(waveform.shape)}: {name}")
    if waveform.size == 0:
        raise BadInput(f"audio must hold samples, got none: {name}")
    mono = np.asarray(waveform if waveform.ndim == 1 else waveform.mean(axis=1), np.float32)
    if not np.isfinite(mono).all():
        raise BadInput(f"audio samples must be finite numbers, got NaN or infinity: {name}")
    return mono


def resample(waveform: Floats, from_hz: int, to_hz: int) -> Floats:
    """Band-limited resampling [samples] -> [ceil(samples * to / from)], linear phase, by a polyphase Kaiser-windowed sinc.

    With up / down the reduced ratio of the rates, output m lies at m * down on a grid `up` times finer; its phase m * down % up
    picks one of `up` short filters, each a regular subset of the long low-pass filter at that finer rate.
    """
    if from_hz == to_hz:
        return waveform
    up, down = to_hz // gcd(from_hz, to_hz), from_hz // gcd(from_hz, to_hz)
    half = _ZERO_CROSSINGS * max(up, down)
    reach = ceil(half / up)  # input samples on each side of an output sample
    length = ceil(len(waveform) * up / down)
    padded = np.pad(waveform, (reach, reach + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    resampled = np.empty(length, np.float32)
    filters = up * _low_pass(np.arange(reach, -reach - 1, -1) * up + np.arange(up)[:, None], half, max(up, down))
    for first in range(min(up, length)):
        outputs = np.arange(first, length, up)
        resampled[outputs] = windows[outputs * down // up] @ filters[first * down % up]
    return resampled


def _low_pass(offset: NDArray[np.int64], half: int, ratio: int) -> Floats:
    """The windowed sinc at an integer offset from its centre, zero beyond `half`; it passes `_CUT_OFF` / ratio of the Nyquist frequency."""
    cut_off = _CUT_OFF / ratio
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (offset / half) ** 2))) / np.i0(_KAISER_BETA)
    return np.where(np.abs(offset) <= half, cut_off * np.sinc(cut_off * offset) * window, 0.0).astype(np.float32)
