"""Mel filters as librosa's `filters.mel` makes them, which ESPnet's LogMel uses: triangles of equal area (Slaney's norm)."""

import numpy as np
from numpy.typing import NDArray

_LINEAR_HZ = 200.0 / 3  # Slaney's scale: one mel every 66.7 Hz below 1 kHz, 27 mels for every factor 6.4 above
_KNEE_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: float, htk: bool = False) -> float:
    """Frequency on the mel scale, Slaney's or HTK's."""
    if htk:
        return float(2595.0 * np.log10(1.0 + hz / 700.0))
    knee_mel = _KNEE_HZ / _LINEAR_HZ
    return float(hz / _LINEAR_HZ if hz < _KNEE_HZ else knee_mel + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def mel_to_hz(mels: NDArray[np.float64], htk: bool = False) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`, elementwise."""
    if htk:
        return np.asarray(700.0 * (10.0 ** (mels / 2595.0) - 1.0))
    knee_mel = _KNEE_HZ / _LINEAR_HZ
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mels, knee_mel) - knee_mel))
    return np.where(mels < knee_mel, mels * _LINEAR_HZ, above)


def make_mel_filters(
    sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float, htk: bool = False
) -> NDArray[np.float32]:
    """Triangular filters [n_mels, n_fft // 2 + 1] over the bins of a power spectrum."""
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sample_rate_hz)
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(fmin_hz, htk), hz_to_mel(fmax_hz, htk), n_mels + 2), htk)
    widths_hz = np.diff(edges_hz)
    distance_hz = edges_hz[:, None] - bins_hz
    rising = -distance_hz[:-2] / widths_hz[:-1, None]
    falling = distance_hz[2:] / widths_hz[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return np.asarray(triangles * area[:, None], np.float32)
