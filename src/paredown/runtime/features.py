"""Waveform to normalized log-mel features, in NumPy, equal to ESPnet's default frontend and its two normalizations.

Stft (centred, reflected edges, periodic window centred in n_fft) -> power -> mel filters -> log of at least 1e-10 -> mean and variance.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.mel import make_mel_filters
from paredown.runtime.numbers import is_finite, is_whole

Floats = NDArray[np.float32]
_FLOOR = np.float32(1e-10)  # ESPnet's LogMel
_LENGTHS = {  # what frontends of speech have, with room: the filters are made as [mels, n_fft / 2]
    "sample_rate_hz": (1_000, 768_000),
    "n_fft": (2, 2**14),
    "win_length": (1, 2**14),
    "hop_samples": (1, 2**14),
    "n_mels": (1, 512),
}
_COSINES = {"hann": (0.5, -0.5), "hamming": (0.54, -0.46), "blackman": (0.42, -0.5, 0.08)}


@dataclass(frozen=True)
class Normalization:
    """What is done to features: nothing, the training data's mean and deviation (`mean`, `std`: one a mel), or the utterance's own."""

    kind: Literal["none", "global", "utterance"]
    norm_means: bool = True
    norm_vars: bool = True
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    eps: float = 1e-20

    def __post_init__(self) -> None:
        if self.kind not in ("none", "global", "utterance"):
            raise ValueError(f"normalize.kind must be none, global or utterance, got {self.kind!r}")
        if not all(isinstance(flag, bool) for flag in (self.norm_means, self.norm_vars)):
            raise ValueError(f"norm_means and norm_vars must be true or false, got {self.norm_means!r} and {self.norm_vars!r}")
        if not all(map(is_finite, (*self.mean, *self.std, self.eps))) or not self.eps > 0:
            raise ValueError("normalize.mean, std and eps must be finite numbers, eps above 0")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "mean": tuple(value.get("mean", ())), "std": tuple(value.get("std", ()))})


@dataclass(frozen=True)
class Frontend:
    """How a waveform becomes features; `window` None is a rectangle, `log_base` None the natural logarithm.

    `filter_rate_hz`: what the mel filters take the sample rate for, None where that is what it is.
    """

    sample_rate_hz: int
    n_fft: int
    win_length: int
    hop_samples: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float
    window: str | None = "hann"
    center: bool = True
    normalized: bool = False
    htk: bool = False
    log_base: float | None = None
    filter_rate_hz: int | None = None
    normalize: Normalization = Normalization("none")

    def __post_init__(self) -> None:
        for name, (least, most) in _LENGTHS.items():
            if not is_whole(value := getattr(self, name)) or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number in [{least}, {most}], got {value!r}")
        least, most = _LENGTHS["sample_rate_hz"]
        if self.filter_rate_hz is not None and (not is_whole(self.filter_rate_hz) or not least <= self.filter_rate_hz <= most):
            raise ValueError(f"filter_rate_hz must be a whole number in [{least}, {most}] or null, got {self.filter_rate_hz!r}")
        if self.win_length > self.n_fft:
            raise ValueError(f"the window ({self.win_length}) must be at most n_fft ({self.n_fft})")
        if not (is_finite(self.fmin_hz) and is_finite(self.fmax_hz) and 0 <= self.fmin_hz < self.fmax_hz <= self.heard_rate_hz):
            raise ValueError(f"mels must lie in [fmin_hz, fmax_hz] up to the rate, got {self.fmin_hz!r} and {self.fmax_hz!r}")
        if not all(isinstance(flag, bool) for flag in (self.center, self.normalized, self.htk)):
            raise ValueError(f"center, normalized and htk must be true or false, got {self.center!r}, {self.normalized!r} and {self.htk!r}")
        if self.log_base is not None and (not is_finite(self.log_base) or self.log_base <= 0 or self.log_base == 1):
            raise ValueError(f"log_base must be null or a number above 0 other than 1, got {self.log_base!r}")
        if self.window is not None and self.window not in (*_COSINES, "bartlett"):
            raise ValueError(f"window must be hann, hamming, blackman, bartlett or null, got {self.window!r}")
        if self.normalize.kind == "global" and not len(self.normalize.mean) == len(self.normalize.std) == self.n_mels:
            raise ValueError(f"mean and std must have {self.n_mels} entries, got {len(self.normalize.mean)} and {len(self.normalize.std)}")

    @property
    def heard_rate_hz(self) -> int:
        """The sample rate as the mel filters know it."""
        return self.filter_rate_hz or self.sample_rate_hz

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "normalize": Normalization.from_json(value.get("normalize", {"kind": "none"}))})

    def least_samples(self, frames: int) -> int:
        """Fewest samples that give `frames` frames (or one, and can be reflected at the edges)."""
        if not self.center:
            return self.n_fft + (max(frames, 1) - 1) * self.hop_samples
        return max(self.n_fft // 2 + 1, (frames - 1) * self.hop_samples)


def bytes_of_frame(n_fft: int) -> int:
    """Upper estimate of the memory that `FeatureExtractor.extract` takes a frame: a windowed frame, its spectrum, their power."""
    return 24 * n_fft


def read_frontend(path: Path) -> Frontend:
    """The settings in a bundle's `frontend.json`; raises BadInput where they are none."""
    try:
        return Frontend.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{path} must hold the frontend's settings, got: {' '.join(str(error).split())}") from error


def make_window(kind: str | None, length: int, n_fft: int) -> Floats:
    """A periodic window [n_fft] as torch makes it: `length` samples, zeros left and right.

    In float32 throughout, as torch computes it: the window's rounding leaks loud bins into faint ones, so that is part of the features.
    """
    phase = np.arange(length, dtype=np.float32) * np.float32(2.0 * np.pi / length)
    if kind is None:
        window = np.ones(length, np.float32)
    elif kind == "bartlett":
        window = 1 - np.abs(2 * np.arange(length, dtype=np.float32) / length - 1)
    else:
        window = np.sum([np.float32(weight) * np.cos(order * phase) for order, weight in enumerate(_COSINES[kind])], axis=0)
    left = (n_fft - length) // 2
    return np.pad(window, (left, n_fft - length - left)).astype(np.float32)


class FeatureExtractor:
    """Holds the window and the filters of a frontend; call `extract` with a waveform."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        f = frontend
        scale = np.float32(f.n_fft**-0.5 if f.normalized else 1.0)
        self._window = make_window(f.window, f.win_length, f.n_fft) * scale
        self._filters = make_mel_filters(f.heard_rate_hz, f.n_fft, f.n_mels, f.fmin_hz, f.fmax_hz, f.htk).T.copy()
        self._mean = np.asarray(f.normalize.mean, np.float32)
        self._std = np.asarray(f.normalize.std, np.float32)

    def extract(self, waveform: Floats) -> Floats:
        """Waveform [samples] (float32, at the frontend's rate, at least `least_samples(1)` long) to features [frames, mels]."""
        return self._normalize(self._take_log(self._measure_power(waveform) @ self._filters))

    def _measure_power(self, waveform: Floats) -> Floats:
        f = self.frontend
        padded = np.pad(waveform, f.n_fft // 2, mode="reflect") if f.center else waveform
        frames = np.lib.stride_tricks.sliding_window_view(padded, f.n_fft)[:: f.hop_samples]
        spectrum = np.fft.rfft(frames * self._window)
        return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)

    def _take_log(self, energies: Floats) -> Floats:
        logs = np.log(np.maximum(energies, _FLOOR))
        base = self.frontend.log_base
        return np.asarray(logs if base is None else logs / np.float32(np.log(base)), np.float32)

    def _normalize(self, features: Floats) -> Floats:
        rule = self.frontend.normalize
        if rule.kind == "none":
            return features
        if rule.kind == "global":
            centred = features - self._mean if rule.norm_means else features
            return centred / self._std if rule.norm_vars else centred
        mean = features.mean(axis=0)
        centred = features - mean
        deviation = np.maximum(np.sqrt(np.mean(centred**2, axis=0)), np.float32(rule.eps)) if rule.norm_vars else np.float32(1.0)
        return (centred if rule.norm_means else features) / deviation
