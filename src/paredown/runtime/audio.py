"""Reads audio: any file that libsndfile reads, or a waveform in memory, to mono float32 at the rate a model wants."""

import warnings
from math import ceil, gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.audio_limits import AudioLimits

Floats = NDArray[np.float32]
_LOWEST_HZ, _HIGHEST_HZ = 1_000, 768_000
_MOST_CHANNELS = 64
_LOUDEST = 1e9  # full scale is 1; squares of sums of this still fit into float32
_ZERO_CROSSINGS = 32  # of the windowed sinc on each side
_KAISER_BETA = 8.0  # 80 dB of stopband
_CUT_OFF = 0.92  # share of the lower Nyquist frequency; so long a filter falls from 0.84 to 1.0 of it
_BLOCK = 4096  # output samples computed at a time: each is a product over some hundred input samples


class ResamplingNote(UserWarning):
    """Audio had another rate than the model. Python's default filter shows each pair of rates once."""


def load_audio(audio: str | Path | NDArray[Any], limits: AudioLimits, sample_rate_hz: int | None = None) -> Floats:
    """A file, or a waveform ([samples] or [samples, channels]) of the given rate (None: the model's), as the model wants it [samples].

    Raises BadInput as `read_audio` and `check_waveform` do, and for audio that is too short or too long.
    """
    if isinstance(audio, np.ndarray):
        name, rate_hz = "waveform", limits.sample_rate_hz if sample_rate_hz is None else _check_rate(sample_rate_hz, "waveform")
        limits.check_seconds(len(audio) / rate_hz if audio.ndim else 0.0, name)
        samples = fit_rate(check_waveform(audio, name), rate_hz, limits.sample_rate_hz)
    elif not isinstance(audio, str | Path):
        raise BadInput(f"audio must be a file's path or a NumPy array, got {type(audio).__name__}")
    elif sample_rate_hz is not None:
        raise BadInput(f"a sample rate is given with a waveform, a file says its own; got {sample_rate_hz!r} with {audio}")
    else:
        name, samples = str(audio), read_audio(Path(audio), limits.sample_rate_hz, limits)
    limits.check_samples(len(samples), name)
    return samples


def read_audio(path: Path, sample_rate_hz: int, limits: AudioLimits | None = None) -> Floats:
    """The file's samples [samples], channels averaged, resampled (with a note) where its rate differs.

    Raises BadInput, naming the file, if it is missing, empty, no audio, longer than the limits allow (before its samples are read), or
    holds samples that are not finite.
    """
    _check_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, channels = _check_rate(file.samplerate, str(path)), _check_channels(file.channels, str(path))
            if limits is not None:
                limits.check_seconds(file.frames / rate_hz, str(path))
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"an audio file must be readable (WAV, FLAC, Ogg, Opus, MP3), got {path}: {reason}") from error
    return fit_rate(check_waveform(samples.reshape(-1, channels), str(path)), rate_hz, sample_rate_hz)


def check_waveform(waveform: NDArray[Any], name: str) -> Floats:
    """Samples [samples] or [samples, channels] to mono float32; int16 is scaled to [-1, 1).

    Raises BadInput, with `name`, if there are no samples, too many dimensions or channels, another integer type, or samples that are not
    finite or far too large.
    """
    if waveform.dtype == np.int16:
        waveform = waveform.astype(np.float32) / np.float32(32768.0)
    if waveform.dtype == np.float16:  # the limits below lie outside of it
        waveform = waveform.astype(np.float32)
    if not np.issubdtype(waveform.dtype, np.floating):
        raise BadInput(f"a waveform must be floating point or int16, got {waveform.dtype}: {name}")
    if waveform.ndim not in (1, 2):
        raise BadInput(f"a waveform must have the shape [samples] or [samples, channels], got {list(waveform.shape)}: {name}")
    if waveform.size == 0:
        raise BadInput(f"audio must hold samples, got none: {name}")
    if waveform.ndim == 2:
        _check_channels(waveform.shape[1], name)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        mono = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
    loudest = np.maximum(mono.max(), -mono.min())  # NaN if there is one
    if not np.isfinite(loudest):
        raise BadInput(f"audio samples must be finite numbers, got NaN or infinity: {name}")
    if loudest > _LOUDEST:
        raise BadInput(f"audio samples must lie within {_LOUDEST:.0e} of 0 (full scale is 1), got {loudest:.3g}: {name}")
    return np.asarray(mono, np.float32)


def fit_rate(waveform: Floats, from_hz: int, to_hz: int, name: str = "waveform") -> Floats:
    """The waveform at the rate `to_hz`, with a `ResamplingNote` where that is not its own. Raises BadInput for an impossible rate."""
    if _check_rate(from_hz, name) == to_hz:
        return waveform
    warnings.warn(f"audio at {from_hz} Hz is resampled to {to_hz} Hz", ResamplingNote, stacklevel=1)
    return resample(waveform, from_hz, to_hz)


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
    offsets = np.arange(reach, -reach - 1, -1) * up
    for first in range(min(up, length)):
        phase = first * down % up
        taps = up * _low_pass(offsets + phase, half, max(up, down))
        for start in range(first, length, up * _BLOCK):  # all windows at once would be a hundred times the audio
            outputs = np.arange(start, min(length, start + up * _BLOCK), up)
            resampled[outputs] = windows[outputs * down // up] @ taps
    return resampled


def _low_pass(offset: NDArray[np.int64], half: int, ratio: int) -> Floats:
    """The windowed sinc at an integer offset from its centre, zero beyond `half`; it passes `_CUT_OFF` / ratio of the Nyquist frequency."""
    cut_off = _CUT_OFF / ratio
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (offset / half) ** 2))) / np.i0(_KAISER_BETA)
    return np.where(np.abs(offset) <= half, cut_off * np.sinc(cut_off * offset) * window, 0.0).astype(np.float32)


def _check_file(path: Path) -> None:
    """Raises BadInput unless the path leads to a regular file; another is not opened (a device may never end)."""
    try:
        if path.is_file():
            return
        kind = "nothing there" if not path.exists() else "a folder" if path.is_dir() else "a device or pipe"
    except OSError as error:
        kind = str(error.strerror)
    raise BadInput(f"an audio file must exist and be a regular file, got {path}: {kind}")


def _check_rate(rate_hz: int, name: str) -> int:
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | np.integer) or not _LOWEST_HZ <= rate_hz <= _HIGHEST_HZ:
        raise BadInput(f"a sample rate must be a whole number in [{_LOWEST_HZ}, {_HIGHEST_HZ}] Hz, got {rate_hz!r}: {name}")
    return int(rate_hz)


def _check_channels(channels: int, name: str) -> int:
    if not 1 <= channels <= _MOST_CHANNELS:
        raise BadInput(f"audio must have 1 to {_MOST_CHANNELS} channels as [samples, channels], got {channels}: {name}")
    return channels
