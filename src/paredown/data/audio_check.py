"""Every audio file of a split, decoded once before hours are spent on it."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from paredown.data.split import Split
from paredown.errors import BadInput


def check_audio(split: Split, least_samples: int, sample_rate_hz: int, most_samples: int | None = None) -> None:
    """Decode every file in full; headers promise samples that a damaged file does not have.

    Raises BadInput, naming the first file that cannot be decoded, is empty, holds samples that are not finite, or lasts less than
    `least_samples` or more than `most_samples` at `sample_rate_hz`. A few milliseconds a file.
    """
    for utterance in split.utterances:
        samples, rate_hz = _decode(utterance.audio)
        if samples.size == 0:
            raise BadInput(f"audio must hold samples, got none: {utterance.audio}")
        if not np.isfinite(samples).all():
            raise BadInput(f"audio samples must be finite numbers, got NaN or infinity: {utterance.audio}")
        length = ceil(len(samples) * sample_rate_hz / rate_hz)
        if length < least_samples:
            raise BadInput(f"audio must hold at least {least_samples} samples at {sample_rate_hz} Hz, got {length}: {utterance.audio}")
        if most_samples is not None and length > most_samples:
            seconds, longest_s = length / sample_rate_hz, most_samples / sample_rate_hz
            raise BadInput(f"audio must last at most {longest_s:.1f} s (for its memory), got {seconds:.1f} s: {utterance.audio}")


def _decode(path: Path) -> tuple[NDArray[Any], int]:
    """Samples [samples, channels] and their rate in Hz."""
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"an audio file must be readable, got {path}: {reason}") from error
    return samples, int(rate_hz)
