"""The default ESPnet frontend: STFT, power, log-mel. Same modules and same checkpoint keys as ESPnet's own, without its torchaudio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from humanfriendly import InvalidSize, parse_size  # type: ignore[import-untyped]
from torch import Tensor

from paredown.models.errors import ModelError
from paredown.models.espnet import LogMel, Stft

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


def read_frontend(config: Mapping[str, Any]) -> FrontendSettings:
    """The frontend of an ESPnet config, ESPnet's defaults filled in; raises ModelError for any frontend but single-channel log-mel."""
    kind = config.get("frontend", "default")
    if kind != "default":
        raise ModelError(f"frontend must be 'default' (log-mel), got {kind!r}")
    conf = dict(config.get("frontend_conf") or {})
    _reject_unsupported(conf)
    rate_hz = _read_rate_hz(conf.get("fs", 16_000))
    n_fft = int(conf.get("n_fft", 512))
    fmin, fmax = conf.get("fmin"), conf.get("fmax")
    return FrontendSettings(
        sample_rate_hz=rate_hz,
        n_fft=n_fft,
        win_length=int(conf.get("win_length") or n_fft),
        hop_samples=int(conf.get("hop_length", 128)),
        n_mels=int(conf.get("n_mels", 80)),
        fmin_hz=0.0 if fmin is None else float(fmin),
        fmax_hz=rate_hz / 2 if fmax is None else float(fmax),
        window=conf.get("window", "hann"),
        center=bool(conf.get("center", True)),
        normalized=bool(conf.get("normalized", False)),
        htk=bool(conf.get("htk", False)),
    )


def _read_rate_hz(value: int | str) -> int:
    """ESPnet writes 16000 or "16k"."""
    try:
        return int(parse_size(value)) if isinstance(value, str) else int(value)
    except (InvalidSize, TypeError, ValueError) as error:
        raise ModelError(f"frontend_conf.fs must be a sampling rate such as 16000 or 16k, got {value!r}") from error


def _reject_unsupported(conf: Mapping[str, Any]) -> None:
    inner = conf.get("frontend_conf") or {}
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
            fs=settings.sample_rate_hz,
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
