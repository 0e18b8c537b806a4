"""Features against ESPnet's own modules, and against a computation of our own in float64."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch
from espnet2.layers.global_mvn import GlobalMVN
from espnet2.layers.log_mel import LogMel
from espnet2.layers.stft import Stft
from espnet2.layers.utterance_mvn import UtteranceMVN

from paredown.models import load_model
from tests.models.checkpoints import asr_config, random_state, st_config, write_checkpoint

TOLERANCE = 1e-4  # issue 2: features match ESPnet's to 1e-4


def _speech(samples: int = 16_000) -> np.ndarray[Any, Any]:
    time_s = np.arange(samples) / 16_000
    rng = np.random.default_rng(3)
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * time_s) * time_s) + 0.02 * rng.standard_normal(samples)).astype(np.float32)


def _espnet_features(conf: dict[str, Any], normalize: torch.nn.Module, waveform: np.ndarray[Any, Any]) -> torch.Tensor:
    """As espnet2/asr/frontend/default.py and ESPnetSTModel.encode chain them."""
    stft = Stft(n_fft=conf["n_fft"], win_length=conf["win_length"], hop_length=conf["hop_length"])
    spectrum, frames = stft(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    logmel = LogMel(fs=16_000, n_fft=conf["n_fft"], n_mels=conf["n_mels"], fmin=None, fmax=None, htk=False)
    features, _ = logmel(spectrum[..., 0] ** 2 + spectrum[..., 1] ** 2, frames)
    return normalize(features, frames)[0][0]


def test_global_mvn_equals_espnet(tmp_path: Path) -> None:
    config, waveform = st_config(), _speech()
    state = random_state(config)
    count, mean, std = 100.0, state["normalize.mean"].numpy(), state["normalize.std"].numpy()
    np.savez(tmp_path / "stats.npz", count=count, sum=mean * count, sum_square=(std**2 + mean**2) * count)
    expected = _espnet_features(config["frontend_conf"], GlobalMVN(tmp_path / "stats.npz"), waveform)
    found = load_model(write_checkpoint(tmp_path, config, state)).features(waveform)
    assert found.shape == (161, 20)
    assert (found - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("norm_vars", [False, True])
def test_utterance_mvn_equals_espnet(tmp_path: Path, norm_vars: bool) -> None:
    config, waveform = asr_config(normalize_conf={"norm_vars": norm_vars}), _speech()
    expected = _espnet_features(config["frontend_conf"], UtteranceMVN(norm_vars=norm_vars), waveform)
    found = load_model(write_checkpoint(tmp_path, config)).features(waveform)
    assert (found - expected).abs().max() <= TOLERANCE
    assert found.mean(0).abs().max() <= TOLERANCE


def test_without_normalisation_equals_a_plain_computation(tmp_path: Path) -> None:
    config, waveform = asr_config(normalize=None), _speech(8_000)
    conf = config["frontend_conf"]
    spectrum = librosa.stft(
        waveform.astype(np.float64), n_fft=conf["n_fft"], win_length=conf["win_length"], hop_length=conf["hop_length"], pad_mode="reflect"
    )
    mel = librosa.filters.mel(sr=16_000, n_fft=conf["n_fft"], n_mels=conf["n_mels"], dtype=np.float64)
    expected = np.log(np.maximum(mel @ np.abs(spectrum) ** 2, 1e-10)).T
    model = load_model(write_checkpoint(tmp_path, config))
    assert np.abs(model.features(waveform).numpy() - expected).max() <= TOLERANCE
    assert model.normalization is None


def test_settings_are_read_from_the_config(tmp_path: Path) -> None:
    frontend = load_model(write_checkpoint(tmp_path, st_config(frontend_conf={"fs": "8k", "n_mels": 20, "fmin": 60}))).frontend
    assert (frontend.sample_rate_hz, frontend.n_fft, frontend.win_length, frontend.hop_samples) == (8_000, 512, 512, 128)
    assert (frontend.fmin_hz, frontend.fmax_hz, frontend.window, frontend.center, frontend.log_base) == (60.0, 4_000.0, "hann", True, None)


def test_features_leave_the_waveform_and_the_model_alone(tmp_path: Path) -> None:
    model, waveform = load_model(write_checkpoint(tmp_path, st_config())), _speech()
    before = waveform.copy()
    assert torch.equal(model.features(waveform), model.features(waveform))
    assert np.array_equal(waveform, before)
