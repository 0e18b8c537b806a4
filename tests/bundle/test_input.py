"""Bundles that hear less: their features are those of ESPnet's frontend at that hop or rate, and their frames as many."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.bundle import write_bundle  # noqa: E402
from paredown.bundle.parity.gate import check_parity  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models.frontend import LogMelFrontend  # noqa: E402
from paredown.models.input_size import resize_input  # noqa: E402
from paredown.runtime import Translator  # noqa: E402
from paredown.runtime.audio import fit_rate  # noqa: E402
from paredown.runtime.features import Frontend  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Input, Scheme  # noqa: E402
from tests.bundle.models import shared_model  # noqa: E402

INPUTS = (Input(200), Input(None, 8_000, "naive"), Input(None, 8_000, "matched"), Input(200, 8_000, "matched"))


def bundle_of(folder: Path, heard: Input) -> Path:
    configuration = Configuration(input=heard, scheme=Scheme(kernel="fp32"), decode=Decode(beam_size=3))
    return write_bundle(shared_model(), compress_model(shared_model(), configuration), folder / "bundle")


@pytest.mark.parametrize("heard", INPUTS)
def test_features_are_those_of_espnets_frontend_at_that_input(tmp_path: Path, heard: Input) -> None:
    translator = Translator.from_bundle(bundle_of(tmp_path, heard))
    settings = resize_input(shared_model().frontend, heard)
    waveform = np.random.default_rng(0).normal(0, 0.1, settings.sample_rate_hz).astype(np.float32)
    with torch.no_grad():
        expected, _ = LogMelFrontend(settings)(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    values = {**asdict(translator.features.frontend), "normalize": {"kind": "none"}}
    found = type(translator.features)(Frontend.from_json(values)).extract(waveform)
    assert found.shape == expected[0].shape
    assert np.abs(found - expected[0].numpy()).max() < 1e-3  # logarithms of float32 spectra, as between the two frontends at full input


def test_frames_follow_hop_and_rate(tmp_path: Path) -> None:
    seconds, own = 2.0, shared_model().frontend
    frames = {}
    for number, heard in enumerate((Input(), *INPUTS)):
        (tmp_path / str(number)).mkdir()
        translator = Translator.from_bundle(bundle_of(tmp_path / str(number), heard))
        wave = np.random.default_rng(1).normal(0, 0.1, round(seconds * own.sample_rate_hz)).astype(np.float32)
        result = translator.translate(wave, sample_rate_hz=own.sample_rate_hz, fixed_tokens=2)
        frames[heard] = result.frames
    full = frames[Input()]
    assert frames[Input(200)] == round(seconds * own.sample_rate_hz) // 200 + 1
    assert abs(frames[Input(None, 8_000, "naive")] - full / 2) <= 1
    assert abs(frames[Input(None, 8_000, "matched")] - full) <= 1


def test_a_bundle_that_hears_less_passes_the_parity_gate() -> None:
    configuration = Configuration(input=Input(200, 8_000, "naive"), scheme=Scheme(kernel="fp32"), decode=Decode(beam_size=3))
    report = check_parity(shared_model(), compress_model(shared_model(), configuration))
    assert report.max_abs_encoder < 1e-4


def test_the_frontend_of_a_bundle_says_what_it_hears(tmp_path: Path) -> None:
    told = json.loads((bundle_of(tmp_path, Input(None, 8_000, "naive")) / "frontend.json").read_text())
    assert (told["sample_rate_hz"], told["filter_rate_hz"]) == (8_000, shared_model().frontend.sample_rate_hz)


def test_audio_is_resampled_to_what_the_bundle_hears(tmp_path: Path) -> None:
    translator = Translator.from_bundle(bundle_of(tmp_path, Input(None, 8_000, "matched")))
    wave = np.random.default_rng(2).normal(0, 0.1, 16_000).astype(np.float32)
    resampled = translator.translate(wave, sample_rate_hz=16_000, fixed_tokens=3)
    direct = translator.translate(fit_rate(wave, 16_000, 8_000), sample_rate_hz=8_000, fixed_tokens=3)
    assert resampled.ids == direct.ids


def test_a_hop_beyond_the_window_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"input\.hop_samples must be at most the window"):
        bundle_of(tmp_path, Input(shared_model().frontend.win_length + 1))
    assert list(tmp_path.iterdir()) == []
