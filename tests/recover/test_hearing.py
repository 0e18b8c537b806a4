"""Features of files as the model makes them, and counts of frames and states as the network makes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from paredown.errors import BadInput
from paredown.models.espnet import TooShortUttError
from paredown.models.frontend import FrontendSettings, LogMelFrontend
from paredown.models.network import build_network
from paredown.recover.hearing import count_frames, count_states, hear, states_for_ctc
from paredown.runtime.audio import resample
from tests.models.checkpoints import ENCODERS, st_config

SETTINGS = FrontendSettings(n_fft=256, win_length=200, hop_samples=100, n_mels=20)


def _write(folder: Path, lengths: list[int], rate_hz: int = 16_000) -> list[Path]:
    files = [folder / f"{length}.wav" for length in lengths]
    for file, length in zip(files, lengths, strict=True):
        soundfile.write(file, np.random.default_rng(length).normal(0, 0.1, length), rate_hz, "FLOAT")
    return files


def test_features_of_a_batch_are_those_of_each_file_but_for_the_last_frames(tmp_path: Path) -> None:
    frontend, files = LogMelFrontend(SETTINGS), _write(tmp_path, [3_000, 5_000, 4_130])
    features, frames, seconds = hear(frontend, files)
    assert frames.tolist() == [31, 51, 42]
    assert seconds == pytest.approx(12_130 / 16_000)
    for row, file in enumerate(files):
        samples = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[None]
        alone, _ = frontend(samples, torch.tensor([samples.shape[1]]))
        whole = int(frames[row]) - 2  # the last windows reach into padding where alone they reach into a mirror
        torch.testing.assert_close(features[row, :whole], alone[0, :whole], atol=1e-4, rtol=1e-4)
        assert not features[row, frames[row] :].any()


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    (file,) = _write(tmp_path, [4_000], rate_hz=8_000)
    frontend = LogMelFrontend(SETTINGS)
    features, frames, seconds = hear(frontend, [file])
    samples = torch.from_numpy(resample(soundfile.read(file, dtype="float32")[0], 8_000, 16_000))
    expected, _ = frontend(samples[None], torch.tensor([len(samples)]))
    torch.testing.assert_close(features, expected)
    assert (frames.tolist(), seconds) == ([81], 0.5)


def test_what_is_no_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(BadInput, match=r"a\.wav"):
        hear(LogMelFrontend(SETTINGS), [tmp_path / "a.wav"])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("rate_hz", [16_000, 8_000])
def test_frames_are_counted_as_the_frontend_makes_them(center: bool, rate_hz: int) -> None:
    settings = replace(SETTINGS, center=center, sample_rate_hz=rate_hz)
    for samples in (256, 299, 300, 301, 1_000, 1_099, 1_100):
        made = LogMelFrontend(settings)(torch.zeros(1, samples), torch.tensor([samples]))[0].shape[1]
        assert count_frames(samples / rate_hz, settings) == made, samples
    assert count_frames(100 / rate_hz, settings) == 0


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_states_are_counted_as_the_encoder_makes_them(encoder: str) -> None:
    network = build_network(st_config(encoder)).eval()
    for frames in range(3, 40):
        try:
            made = int(network.encode(torch.zeros(1, frames, 20), torch.tensor([frames]))[1])
        except (TooShortUttError, RuntimeError):
            made = 0
        assert count_states(frames, network) == made, frames


def test_a_ctc_needs_a_blank_between_equal_tokens() -> None:
    """The loss of torch is finite exactly from so many frames on."""
    for ids in ([3], [3, 3], [1, 2, 1], [2, 2, 2, 1]):
        for frames in range(1, 8):
            logits = torch.zeros(frames, 1, 5).log_softmax(-1)
            loss = torch.nn.functional.ctc_loss(logits, torch.tensor([ids]), torch.tensor([frames]), torch.tensor([len(ids)]))
            assert bool(torch.isfinite(loss)) == (frames >= states_for_ctc(ids))
    assert states_for_ctc(()) == 0
