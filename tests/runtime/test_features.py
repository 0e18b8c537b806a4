"""Features against ESPnet's own layers (Stft, LogMel, GlobalMVN, UtteranceMVN)."""

import json
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.audio import read_audio
from paredown.runtime.features import FeatureExtractor, Frontend, Normalization, read_frontend
from paredown.runtime.mel import make_mel_filters

USUAL = Frontend(sample_rate_hz=16_000, n_fft=512, win_length=400, hop_samples=160, n_mels=80, fmin_hz=0.0, fmax_hz=8_000.0)
# Both sides add 512 float32 products; the logarithm turns a relative error into an absolute one. The issue's own bound.
TOLERANCE = 1e-4


def make_waveform(samples: int = 9_001, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness changes, with tones: no bin is empty, so that float32 determines every logarithm."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    tones = np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 3_100 * time)
    return ((0.1 * tones + 0.03 * rng.standard_normal(samples)) * (0.1 + np.abs(np.sin(3 * time)))).astype(np.float32)


def extract_espnet(frontend: Frontend, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    torch = pytest.importorskip("torch")
    from espnet2.layers.log_mel import LogMel
    from espnet2.layers.stft import Stft

    f = frontend
    stft = Stft(f.n_fft, f.win_length, f.hop_samples, window=f.window, center=f.center, normalized=f.normalized)
    log_mel = LogMel(f.sample_rate_hz, f.n_fft, f.n_mels, f.fmin_hz, f.fmax_hz, f.htk, f.log_base)
    spectrum, frames = stft(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    features, _ = log_mel(spectrum[..., 0] ** 2 + spectrum[..., 1] ** 2, frames)
    return features[0].numpy()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"win_length": 512, "hop_samples": 128},
        {"n_fft": 400, "n_mels": 40},
        {"window": "hamming"},
        {"window": "blackman", "win_length": 401},
        {"window": "bartlett"},
        {"window": None},
        {"center": False},
        {"normalized": True},
        {"htk": True, "fmin_hz": 80.0, "fmax_hz": 7_600.0},
        {"log_base": 10.0},
        {"log_base": 2.0},
        {"sample_rate_hz": 8_000, "n_fft": 256, "win_length": 200, "hop_samples": 80, "fmax_hz": 4_000.0, "n_mels": 40},
    ],
    ids=str,
)
def test_features_are_those_of_espnet(change: dict[str, object]) -> None:
    frontend = replace(USUAL, **change)
    features = FeatureExtractor(frontend).extract(make_waveform())
    assert features.dtype == np.float32
    expected = extract_espnet(frontend, make_waveform())
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("utterance", ["search-0000", "search-0047", "search-0080"])
def test_features_of_speech_are_those_of_espnet(utterance: str) -> None:
    """Where a bin is 80 dB and more below the loudest of its frame, float32 rounding in ESPnet's own FFT moves its logarithm by up to 1e-3.

    So the bound is held against ESPnet's computation with an exact (float64) FFT everywhere, and against ESPnet itself almost everywhere.
    """
    torch = pytest.importorskip("torch")
    frontend = replace(USUAL, n_mels=40)
    waveform = read_audio(files("paredown.bundled") / "tatoeba-en-de" / "search" / f"{utterance}.opus", 16_000)
    features = FeatureExtractor(frontend).extract(waveform)
    window = torch.hann_window(400).double()
    spectrum = torch.stft(torch.from_numpy(waveform).double(), 512, 160, 400, window, return_complex=True)
    filters = torch.from_numpy(make_mel_filters(16_000, 512, 40, 0.0, 8_000.0)).double()
    exact = torch.log(torch.clamp(filters @ spectrum.abs() ** 2, min=1e-10)).T.numpy()
    np.testing.assert_allclose(features, exact, rtol=0, atol=2e-4)  # 1.0e-4 at most in 200 utterances; one float32 rounding of each sample
    off = np.abs(features - extract_espnet(frontend, waveform))
    assert np.mean(off > TOLERANCE) < 5e-3  # 0047 and 0080 are the worst of 200 utterances; over all of them it is 1.4e-4
    assert off.max() < 2e-3


@pytest.mark.parametrize("samples", [257, 480, 1_600, 16_000, 16_001])
def test_every_length_gives_the_frames_of_espnet(samples: int) -> None:
    waveform = make_waveform(samples)
    np.testing.assert_allclose(FeatureExtractor(USUAL).extract(waveform), extract_espnet(USUAL, waveform), rtol=0, atol=TOLERANCE)


def test_silence_is_the_floor() -> None:
    features = FeatureExtractor(USUAL).extract(np.zeros(4_000, np.float32))
    np.testing.assert_allclose(features, np.log(1e-10), rtol=1e-6)


@pytest.mark.parametrize(("norm_means", "norm_vars"), [(True, True), (True, False), (False, True)])
def test_global_normalization_is_that_of_espnet(tmp_path: Path, norm_means: bool, norm_vars: bool) -> None:
    torch = pytest.importorskip("torch")
    from espnet2.layers.global_mvn import GlobalMVN

    plain = FeatureExtractor(USUAL).extract(make_waveform())
    np.savez(tmp_path / "stats.npz", count=len(plain), sum=plain.sum(axis=0), sum_square=(plain**2).sum(axis=0))
    layer = GlobalMVN(tmp_path / "stats.npz", norm_means, norm_vars)
    other = make_waveform(seed=1)
    expected = layer(torch.from_numpy(extract_espnet(USUAL, other))[None])[0][0].numpy()
    rule = Normalization("global", norm_means, norm_vars, tuple(layer.mean.tolist()), tuple(layer.std.tolist()))
    # Division by a deviation (here 0.5 and more) at most doubles the features' own error.
    np.testing.assert_allclose(FeatureExtractor(replace(USUAL, normalize=rule)).extract(other), expected, rtol=0, atol=2 * TOLERANCE)


@pytest.mark.parametrize(("norm_means", "norm_vars"), [(True, True), (True, False), (False, True), (False, False)])
def test_utterance_normalization_is_that_of_espnet(norm_means: bool, norm_vars: bool) -> None:
    torch = pytest.importorskip("torch")
    from espnet2.layers.utterance_mvn import UtteranceMVN

    plain = extract_espnet(USUAL, make_waveform())
    expected = UtteranceMVN(norm_means, norm_vars)(torch.from_numpy(plain)[None])[0][0].numpy()
    rule = Normalization("utterance", norm_means, norm_vars)
    features = FeatureExtractor(replace(USUAL, normalize=rule)).extract(make_waveform())
    np.testing.assert_allclose(features, expected, rtol=0, atol=2 * TOLERANCE)  # as above


@pytest.mark.parametrize("frontend", [USUAL, replace(USUAL, center=False), replace(USUAL, hop_samples=400)])
@pytest.mark.parametrize("frames", [1, 7, 11])
def test_least_samples_give_the_frames_and_one_sample_less_does_not(frontend: Frontend, frames: int) -> None:
    least, extractor = frontend.least_samples(frames), FeatureExtractor(frontend)
    assert len(extractor.extract(make_waveform(least))) >= frames
    assert not frontend.center or least > frontend.n_fft // 2  # torch refuses to reflect less
    try:
        shorter = len(extractor.extract(make_waveform(least - 1)))
    except ValueError:  # no frame at all fits
        shorter = 0
    assert shorter < frames or least - 1 <= frontend.n_fft // 2


def test_settings_survive_their_json(tmp_path: Path) -> None:
    path = tmp_path / "frontend.json"
    rule = Normalization("global", mean=(0.1,) * 80, std=(1.5,) * 80)
    path.write_text(json.dumps(asdict(replace(USUAL, normalize=rule))))
    assert read_frontend(path) == replace(USUAL, normalize=rule)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": "kaiser"}, "window must be hann.*'kaiser'"),
        ({"win_length": 600}, r"the window \(600\) must be at most n_fft \(512\)"),
        ({"hop_samples": 0}, r"hop_samples must be a whole number in \[1, 16384\], got 0"),
        ({"normalize": {"kind": "global", "mean": [1.0], "std": [1.0]}}, "80 entries, got 1 and 1"),
        ({"normalize": {"kind": "batch"}}, "got 'batch'"),
        ({"sampling": 3}, "sampling"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "frontend.json"
    path.write_text(json.dumps(asdict(USUAL) | change))
    with pytest.raises(BadInput, match=message):
        read_frontend(path)
