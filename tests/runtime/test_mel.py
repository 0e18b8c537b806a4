import numpy as np
import pytest

from paredown.runtime.mel import hz_to_mel, make_mel_filters, mel_to_hz


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize(
    ("sample_rate_hz", "n_fft", "n_mels", "fmin_hz", "fmax_hz"),
    [
        (16_000, 512, 80, 0.0, 8_000.0),
        (16_000, 400, 40, 0.0, 8_000.0),
        (16_000, 512, 23, 80.0, 7_600.0),
        (8_000, 256, 64, 20.0, 4_000.0),
        (22_050, 1_024, 80, 0.0, 11_025.0),
    ],
)
def test_filters_are_those_of_librosa(sample_rate_hz: int, n_fft: int, n_mels: int, fmin_hz: float, fmax_hz: float, htk: bool) -> None:
    librosa_filters = pytest.importorskip("librosa.filters")
    expected = librosa_filters.mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz, htk=htk)
    filters = make_mel_filters(sample_rate_hz, n_fft, n_mels, fmin_hz, fmax_hz, htk)
    assert filters.dtype == np.float32
    # Two float32 roundings apart: the heights are about 0.01.
    np.testing.assert_allclose(filters, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("htk", [False, True])
def test_scale_and_its_inverse_agree(htk: bool) -> None:
    hz = np.array([0.0, 100.0, 999.0, 1_000.0, 1_001.0, 8_000.0])
    back = mel_to_hz(np.array([hz_to_mel(value, htk) for value in hz]), htk)
    np.testing.assert_allclose(back, hz, rtol=1e-12, atol=1e-9)
