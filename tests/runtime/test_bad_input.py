"""Audio as it comes: around the shortest that an encoder takes, silent, loud, endless. A result or one line, for every encoder."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime import Translator
from paredown.space.configuration import Configuration, Scheme

torch = pytest.importorskip("torch")

from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from tests.bundle.models import make_model  # noqa: E402

INPUT_LAYERS = ("conv2d", "conv2d1", "conv2d2", "conv2d6", "conv2d8")
ENCODERS = {
    "conformer-latest": ("conformer", {"rel_pos_type": "latest", "cnn_module_kernel": 31}),
    "conformer-legacy": ("conformer", {"rel_pos_type": "legacy", "cnn_module_kernel": 15, "macaron_style": False}),
    "transformer": ("transformer", {}),
    "e_branchformer": ("e_branchformer", {"cgmlp_linear_units": 32, "cgmlp_conv_kernel": 31, "use_ffn": True, "macaron_ffn": True}),
}
FORMS = {
    "noise": lambda samples: np.random.default_rng(samples).normal(0, 0.1, samples),
    "silence": np.zeros,
    "offset": np.ones,
    "faint": lambda samples: np.full(samples, 1e-40),
    "loud": lambda samples: 1e9 * np.sign(np.random.default_rng(samples).normal(0, 1, samples)),
    "click": lambda samples: np.eye(1, samples, samples // 2)[0],
}


@cache
def open_bundle(encoder: str, input_layer: str, kernel: str) -> Translator:
    kind, conf = ENCODERS[encoder]
    model = make_model(kind, **{**conf, "input_layer": input_layer})
    bits = tuple((layer.path, 8) for layer in model.inventory().layers)
    compressed = compress_model(model, Configuration(bits=bits, scheme=Scheme(kernel=kernel)))
    return Translator.from_bundle(write_bundle(model, compressed, Path(mkdtemp()) / "bundle"), beam_size=3, maxlenratio=-4)


def hear(translator: Translator, waveform: NDArray[np.floating]) -> None:
    """A result of numbers; anything else fails."""
    result = translator.translate(np.asarray(waveform, np.float32))
    assert np.isfinite(result.score)
    assert result.frames >= 1


@pytest.mark.parametrize("kernel", ["fp32", "int8"])
@pytest.mark.parametrize("input_layer", INPUT_LAYERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_lengths_around_the_shortest_give_a_result_or_one_line(encoder: str, input_layer: str, kernel: str) -> None:
    translator = open_bundle(encoder, input_layer, kernel)
    least = translator.limits.least_samples

    @settings(max_examples=12, deadline=None)
    @given(more=st.integers(-400, 2_500), form=st.sampled_from(sorted(FORMS)))
    def check(more: int, form: str) -> None:
        waveform = FORMS[form](max(least + more, 0))
        if more >= 0:
            hear(translator, waveform)
        else:
            with pytest.raises(BadInput, match=r"at least \d+ samples at 16000 Hz, got|must hold samples, got none"):
                translator.translate(np.asarray(waveform, np.float32))

    check()
    hear(translator, FORMS["noise"](least))
    with pytest.raises(BadInput, match=f"at least {least} samples at 16000 Hz, got {least - 1}: waveform"):
        translator.translate(np.zeros(least - 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", ["fp32", "int8"])
def test_seconds_of_anything_give_a_result(form: str, kernel: str) -> None:
    hear(open_bundle("conformer-latest", "conv2d6", kernel), FORMS[form](40_000))


def test_formats_of_one_waveform_give_one_result(tmp_path: Path) -> None:
    """int16, stereo, float64 and a file are the same audio."""
    translator = open_bundle("conformer-latest", "conv2d6", "fp32")
    whole = (3_000 * np.sin(np.arange(20_000) / 7)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", whole, 16_000)
    expected = translator.translate(whole)
    for same in (whole / 32_768, np.stack([whole, whole], axis=1), (whole / 32_768).astype(np.float32), tmp_path / "a.wav"):
        assert translator.translate(same) == expected


def test_another_rate_is_resampled() -> None:
    translator = open_bundle("conformer-latest", "conv2d6", "fp32")
    seconds = np.arange(3 * 48_000) / 48_000
    tone = np.sin(2 * np.pi * 440 * seconds)
    with pytest.warns(UserWarning, match="audio at 48000 Hz is resampled to 16000 Hz"):
        resampled = translator.translate(tone, sample_rate_hz=48_000)
    direct = translator.translate(tone[::3])
    assert resampled.frames == direct.frames
    assert resampled.score == pytest.approx(direct.score, abs=0.1)  # the ends of the filtered tone differ


def test_an_hour_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    translator = open_bundle("conformer-latest", "conv2d1", "fp32")
    hour = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (3_600 * 16_000,), (0,))  # takes four bytes
    with pytest.raises(
        BadInput, match=r"audio must last at most [\d.]+ s to be decoded in 4 GB \(the memory limit\), got 3600\.0 s: waveform"
    ):
        translator.translate(hour)
    with pytest.raises(BadInput, match=r"got 3600\.0 s"):
        translator.translate_batch([hour, hour])


def test_the_memory_limit_is_a_setting(tmp_path: Path) -> None:
    model = make_model()
    bundle = write_bundle(model, compress_model(model, Configuration(scheme=Scheme(kernel="fp32"))), tmp_path / "bundle")
    small, large = (Translator.from_bundle(bundle, beam_size=3, memory_limit_bytes=limit) for limit in (10**7, 10**9))
    assert 1.0 < small.limits.longest_s < large.limits.longest_s
    waveform = FORMS["noise"](int((small.limits.longest_s + 1) * 16_000)).astype(np.float32)
    with pytest.raises(BadInput, match=r"decoded in 0\.01 GB"):
        small.translate(waveform)
    hear(large, waveform[:50_000])
    with pytest.raises(BadInput, match=r"memory limit must leave room for \d+ samples of audio, got 1e-05 GB"):
        Translator.from_bundle(bundle, beam_size=3, memory_limit_bytes=10**4)
    with pytest.raises(BadInput, match="got nan GB"):
        Translator.from_bundle(bundle, beam_size=3, memory_limit_bytes=float("nan"))  # type: ignore[arg-type]
    fewer, more = (Translator.from_bundle(bundle, beam_size=beam, memory_limit_bytes=10**7).limits for beam in (1, 8))
    assert more.most_samples < fewer.most_samples  # hypotheses take memory too
