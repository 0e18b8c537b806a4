"""The default ESPnet frontend: STFT, power, log-mel. Same modules and same checkpoint keys as ESPnet's own, without its torchaudio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from humanfriendly import InvalidSize, parse_size  # type: ignore[import-untyped]
from torch import Tensor

from paredown.models.errors import ModelError
from paredown.models.espnet import LogMel, Stft
from paredown.models.section import read_count, read_number, read_section

_KNOWN = frozenset(
    ("fs", "n_fft", "win_length", "hop_length", "window", "center", "normalized", "onesided", "n_mels", "fmin", "fmax", "htk")
)
_IGNORED = frozenset({"frontend_conf", "apply_stft"})


@dataclass(frozen=True)
class FrontendSettings:
    """What turns a waveform into log-mel features; lengths in samples, frequencies in Hz; `log_base` None is the natural logarithm."""

    sample_rate_hz: int = 16_000
    n_fft: int = 512
    win_length: int = 512
    hop_samples: int = 128
    n_mels: int = 80
    fmin_hz: float = 0.0
    fmax_hz: float = 8_000.0
    window: str | None = "hann"
    center: bool = True
    normalized: bool = False
    htk: bool = False
    log_base: float | None = None
    filter_rate_hz: int | None = None  # what the mel filters take the rate for, None: for what it is


def read_frontend(config: Mapping[str, Any]) -> FrontendSettings:
    """The frontend of an ESPnet config, ESPnet's defaults filled in.

    Raises ModelError for any frontend but single-channel log-mel, and for a setting that cannot be, naming it and its value.
    """
    kind = config.get("frontend", "default")
    if kind != "default":
        raise ModelError(f"frontend must be 'default' (log-mel), got {kind!r}")
    conf = read_section(config, "frontend_conf")
    _reject_unsupported(conf)
    rate_hz = _read_rate_hz(conf.get("fs", 16_000))
    n_fft = read_count("frontend_conf.n_fft", conf.get("n_fft", 512))
    win_length = read_count("frontend_conf.win_length", conf.get("win_length") or n_fft)
    if win_length > n_fft:
        raise ModelError(f"frontend_conf.win_length must be at most n_fft, got {win_length} above {n_fft}")
    fmin_hz, fmax_hz = _read_band(conf, rate_hz)
    return FrontendSettings(
        sample_rate_hz=rate_hz,
        n_fft=n_fft,
        win_length=win_length,
        hop_samples=read_count("frontend_conf.hop_length", conf.get("hop_length", 128)),
        n_mels=read_count("frontend_conf.n_mels", conf.get("n_mels", 80)),
        fmin_hz=fmin_hz,
        fmax_hz=fmax_hz,
        window=_read_window(conf.get("window", "hann")),
        center=bool(conf.get("center", True)),
        normalized=bool(conf.get("normalized", False)),
        htk=bool(conf.get("htk", False)),
    )


def _read_rate_hz(value: int | str) -> int:
    """ESPnet writes 16000 or "16k"."""
    try:
        rate_hz = int(parse_size(value)) if isinstance(value, str) else int(value)
    except (InvalidSize, TypeError, ValueError, OverflowError):
        rate_hz = 0
    if rate_hz < 1 or isinstance(value, bool):
        raise ModelError(f"frontend_conf.fs must be a sampling rate such as 16000 or 16k, got {value!r}")
    return rate_hz


def _read_band(conf: Mapping[str, Any], rate_hz: int) -> tuple[float, float]:
    """Lowest and highest frequency of the mel filters in Hz; ESPnet's None is 0 and half the sampling rate."""
    fmin, fmax = conf.get("fmin"), conf.get("fmax")
    fmin_hz = 0.0 if fmin is None else read_number("frontend_conf.fmin", fmin)
    fmax_hz = rate_hz / 2 if fmax is None else read_number("frontend_conf.fmax", fmax)
    if fmin_hz >= fmax_hz:
        raise ModelError(f"frontend_conf.fmin must lie below fmax, got {fmin_hz:g} and {fmax_hz:g}")
    return fmin_hz, fmax_hz


def _read_window(value: object) -> str | None:
    """The name of a window that torch has (`torch.hann_window`), or None for a rectangle."""
    if value is not None and not (isinstance(value, str) and hasattr(torch, f"{value}_window")):
        raise ModelError(f"frontend_conf.window must be a window of torch (hann, hamming, blackman, bartlett, kaiser), got {value!r}")
    return value


def _reject_unsupported(conf: Mapping[str, Any]) -> None:
    inner = read_section(conf, "frontend_conf")
    switched_on = [key for key in ("use_wpe", "use_beamformer") if inner.get(key)]
    if switched_on:
        raise ModelError(f"frontend_conf must be plain log-mel without speech enhancement, got {switched_on[0]}: true")
    for key, only in (("apply_stft", True), ("onesided", True)):
        if conf.get(key, only) is not only:
            raise ModelError(f"frontend_conf.{key} must be {str(only).lower()}, got {conf[key]!r}")
    unknown = sorted(set(conf) - _KNOWN - _IGNORED)
    if unknown:
        raise ModelError(f"frontend_conf must hold only {', '.join(sorted(_KNOWN))}, got {unknown[0]!r}")


class LogMelFrontend(torch.nn.Module):
    """Waveforms to log-mel features, as ESPnet's DefaultFrontend computes them (its one buffer is `logmel.melmat`)."""

    def __init__(self, settings: FrontendSettings) -> None:
        super().__init__()
        self.settings = settings
        self.stft = Stft(
            n_fft=settings.n_fft,
            win_length=settings.win_length,
            hop_length=settings.hop_samples,
            window=settings.window,
            center=settings.center,
            normalized=settings.normalized,
        )
        self.logmel = LogMel(
            fs=settings.filter_rate_hz or settings.sample_rate_hz,
            n_fft=settings.n_fft,
            n_mels=settings.n_mels,
            fmin=settings.fmin_hz,
            fmax=settings.fmax_hz,
            htk=settings.htk,
            **({} if settings.log_base is None else {"log_base": settings.log_base}),
        )

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[utterances, samples] and lengths in samples -> [utterances, frames, mels] and lengths in frames; zero beyond an utterance."""
        spectrum, frames = self.stft(waveforms, lengths)
        power = spectrum[..., 0] ** 2 + spectrum[..., 1] ** 2
        features, _ = self.logmel(power, frames)
        return features, frames
