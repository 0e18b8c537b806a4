"""Utterances from segments: one to four waveforms joined with pauses, then gain, reverberation and noise. All seeded, all float32."""

from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RATE_HZ = 16_000
LONGEST_S = 8.0
PAUSE_S = (0.10, 0.35)
GAIN_DB = (-6.0, 6.0)
NOISE_CHANCE, SNR_DB = 0.6, (12.0, 30.0)
REVERB_CHANCE, RT60_S = 0.3, (0.15, 0.5)
_DIRECT_TO_REVERB_DB = (2.0, 12.0)
NOISE_COLOURS = ("white", "pink", "brown", "babble", "hum")

Waveform = NDArray[np.float32]


def as_float(waveform: NDArray[np.int16] | NDArray[np.float32]) -> Waveform:
    """[samples] with full scale 1; int16 is divided by 32768, floats pass."""
    scaled = waveform.astype(np.float32)
    return scaled / np.float32(32768.0) if waveform.dtype == np.int16 else scaled


def join(waveforms: Sequence[NDArray[np.int16] | NDArray[np.float32]], rng: np.random.Generator) -> Waveform:
    """[samples] end to end with a random pause between; raises ValueError above `LONGEST_S` (cutting would lose words)."""
    if not waveforms:
        raise ValueError("an utterance must have at least one waveform, got none")
    parts = [as_float(waveforms[0])]
    for waveform in waveforms[1:]:
        parts += [np.zeros(int(rng.uniform(*PAUSE_S) * RATE_HZ), np.float32), as_float(waveform)]
    joined = np.concatenate(parts)
    if len(joined) > LONGEST_S * RATE_HZ:
        raise ValueError(f"an utterance must last at most {LONGEST_S} s, got {len(joined) / RATE_HZ:.2f} s")
    return joined


def disturb(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """The utterance as a microphone might hear it: reverberation (in 30 %), noise (in 60 %), gain; [samples] -> [samples]."""
    heard: Waveform = waveform
    if rng.random() < REVERB_CHANCE:
        heard = reverberate(heard, impulse_response(float(rng.uniform(*RT60_S)), rng))
    if rng.random() < NOISE_CHANCE:
        colour = NOISE_COLOURS[int(rng.integers(len(NOISE_COLOURS)))]
        heard = add_noise(heard, make_noise(colour, len(heard), rng), float(rng.uniform(*SNR_DB)))
    heard = heard * np.float32(10.0 ** (float(rng.uniform(*GAIN_DB)) / 20.0))
    peak = float(np.abs(heard).max(initial=0.0))
    return heard * np.float32(0.99 / peak) if peak > 0.99 else heard


def impulse_response(rt60_s: float, rng: np.random.Generator) -> Waveform:
    """A room [samples]: the direct sound, then noise whose level falls by 60 dB in `rt60_s`; energy 1."""
    count = int(rt60_s * RATE_HZ)
    decay = 10.0 ** (-3.0 * np.arange(count) / count)
    tail = rng.standard_normal(count) * decay
    tail[0] = 0.0
    tail *= 10.0 ** (-rng.uniform(*_DIRECT_TO_REVERB_DB) / 20.0) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    response: Waveform = (tail / np.sqrt(np.sum(tail**2))).astype(np.float32)
    return response


def reverberate(waveform: Waveform, response: Waveform) -> Waveform:
    """The waveform in the room, cut to its own length: [samples], [taps] -> [samples]."""
    size = scipy.fft.next_fast_len(len(waveform) + len(response) - 1, real=True)
    spectrum = scipy.fft.rfft(waveform, size) * scipy.fft.rfft(response, size)
    wet: Waveform = scipy.fft.irfft(spectrum, size)[: len(waveform)].astype(np.float32)
    return wet


def make_noise(colour: str, count: int, rng: np.random.Generator) -> Waveform:
    """[count] samples of noise of any level: white, pink (1/f power), brown (1/f^2), babble (speech-shaped, swelling), mains hum."""
    if colour == "hum":
        return _make_hum(count, rng)
    size = scipy.fft.next_fast_len(count, real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    hz = np.maximum(np.arange(len(spectrum), dtype=np.float32) * (RATE_HZ / size), 20.0)
    if colour == "pink":
        spectrum *= hz**-0.5
    elif colour == "brown":
        spectrum *= 1.0 / hz
    elif colour == "babble":
        spectrum *= 1.0 / (1.0 + (hz / 500.0) ** 1.5) / (1.0 + (100.0 / hz) ** 2)
    elif colour != "white":
        raise ValueError(f"noise colour must be one of {NOISE_COLOURS}, got {colour!r}")
    noise: Waveform = scipy.fft.irfft(spectrum, size)[:count].astype(np.float32)
    return noise * _swell(count, rng) if colour == "babble" else noise


def _swell(count: int, rng: np.random.Generator) -> Waveform:
    """A loudness between 0.3 and 1.7 that wanders at the pace of syllables (about 4 Hz); [count]."""
    knots = rng.uniform(0.3, 1.7, size=count * 4 // RATE_HZ + 2)
    return np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots).astype(np.float32)


def _make_hum(count: int, rng: np.random.Generator) -> Waveform:
    """50 or 60 Hz with falling overtones at random phases, over a little white noise; [count]."""
    base_hz = (50.0, 60.0)[int(rng.integers(2))]
    time_s = np.arange(count, dtype=np.float32) / RATE_HZ
    noise: Waveform = 0.1 * rng.standard_normal(count, dtype=np.float32)
    for overtone in range(1, 6):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        noise += np.float32(1.0 / overtone) * np.sin(np.float32(2 * np.pi * base_hz * overtone) * time_s + phase)
    return noise


def add_noise(waveform: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """The sum at the given ratio of mean powers (pauses counted): [samples], [samples] -> [samples]."""
    speech, level = float(np.mean(waveform.astype(np.float64) ** 2)), float(np.mean(noise.astype(np.float64) ** 2))
    return waveform + noise * np.float32(np.sqrt(speech / level / 10.0 ** (snr_db / 10.0)))
