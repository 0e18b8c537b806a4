"""Frontends at another hop or rate: frames last as long as they should, and what cannot be is refused."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")

from paredown.errors import BadInput
from paredown.models.frontend import FrontendSettings
from paredown.models.input_size import resize_input
from paredown.space.configuration import Input

OWN = FrontendSettings(sample_rate_hz=16_000, n_fft=512, win_length=400, hop_samples=160)


def test_the_models_own_input_changes_nothing() -> None:
    assert resize_input(OWN, Input()) == OWN
    assert resize_input(OWN, Input(160, 16_000)) == OWN


def test_a_longer_hop_changes_the_hop_alone() -> None:
    assert resize_input(OWN, Input(250)) == replace(OWN, hop_samples=250)


def test_the_naive_variant_leaves_the_frontend_as_it_is() -> None:
    """Half the samples through the same frontend: half the frames, and the filters take the audio for 16 kHz."""
    assert resize_input(OWN, Input(None, 8_000, "naive")) == replace(OWN, sample_rate_hz=8_000, filter_rate_hz=16_000)


def test_the_matched_variant_keeps_time_and_bins() -> None:
    matched = resize_input(OWN, Input(200, 8_000, "matched"))
    assert (matched.sample_rate_hz, matched.n_fft, matched.win_length, matched.hop_samples) == (8_000, 256, 200, 100)
    assert (matched.fmax_hz, matched.n_mels, matched.filter_rate_hz) == (4_000, 80, None)
    assert matched.hop_samples / matched.sample_rate_hz == 200 / OWN.sample_rate_hz
    assert matched.sample_rate_hz / matched.n_fft == OWN.sample_rate_hz / OWN.n_fft


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Input(401), "hop_samples must be at most the window of 400 samples, got 401"),
        (Input(None, 22_050), "sample_rate_hz must be at most the model's 16000 Hz, got 22050"),
        (Input(None, 11_025), "n_fft of 512 samples at 16000 Hz must be whole samples at 11025 Hz, got 352.8"),
        (Input(161, 8_000), "hop_samples of 161 samples at 16000 Hz must be whole samples at 8000 Hz, got 80.5"),
    ],
)
def test_what_cannot_be_is_refused(wanted: Input, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resize_input(OWN, wanted)
