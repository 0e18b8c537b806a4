import os
import tracemalloc
import warnings
from math import gcd
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.audio import ResamplingNote, check_waveform, load_audio, read_audio, resample
from paredown.runtime.audio_limits import AudioLimits

LIMITS = AudioLimits(least_samples=400, most_samples=160_000, sample_rate_hz=16_000, limit_bytes=4_000_000_000)


def make_sine(hz: float, rate_hz: int, seconds: float = 0.5) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize(
    "rates_hz", [(48_000, 16_000), (44_100, 16_000), (22_050, 16_000), (8_000, 16_000), (11_025, 16_000), (16_000, 8_000)], ids=str
)
@pytest.mark.parametrize("hz", [100.0, 440.0, 2_500.0])
def test_a_sine_is_the_same_sine_at_the_other_rate(rates_hz: tuple[int, int], hz: float) -> None:
    from_hz, to_hz = rates_hz
    resampled = resample(make_sine(hz, from_hz), from_hz, to_hz)
    expected = make_sine(hz, to_hz)
    assert resampled.dtype == np.float32
    assert len(resampled) == -(-round(0.5 * from_hz) * to_hz // from_hz)
    inner = slice(200, len(expected) - 200)  # the filter reaches over both ends
    # Kaiser's beta 8 gives a ripple of -80 dB: 1e-4 of the amplitude.
    np.testing.assert_allclose(resampled[inner], expected[inner], atol=2e-4)


@pytest.mark.parametrize("rates_hz", [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000)], ids=str)
def test_resampling_agrees_with_scipy(rates_hz: tuple[int, int]) -> None:
    signal = pytest.importorskip("scipy.signal")
    from_hz, to_hz = rates_hz
    waveform = make_sine(440.0, from_hz) + make_sine(1_700.0, from_hz)
    divisor = np.gcd(from_hz, to_hz)
    expected = signal.resample_poly(waveform, to_hz // divisor, from_hz // divisor)
    resampled = resample(waveform, from_hz, to_hz)
    assert len(resampled) == len(expected)
    # scipy's own default filter (Kaiser, beta 5) ripples by some -50 dB.
    np.testing.assert_allclose(resampled[200:-200], expected[200:-200], atol=5e-3)


@pytest.mark.parametrize("hz", [8_050.0, 9_000.0, 15_000.0, 20_000.0])
def test_tones_beyond_the_new_band_do_not_fold_back(hz: float) -> None:
    folded = resample(make_sine(hz, 48_000), 48_000, 16_000)[200:-200]
    assert np.abs(folded).max() < 0.5 * 10 ** (-70 / 20)  # 70 dB below the tone; the filter is made for 80


def test_equal_rates_change_nothing() -> None:
    waveform = make_sine(440.0, 16_000)
    assert resample(waveform, 16_000, 16_000) is waveform


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_file_gives_its_samples(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"speech{suffix}"
    soundfile.write(path, make_sine(440.0, 16_000), 16_000)
    samples = read_audio(path, 16_000)
    assert samples.dtype == np.float32
    # 16-bit steps for WAV and FLAC; Vorbis loses more.
    np.testing.assert_allclose(samples, make_sine(440.0, 16_000), atol=0.05 if suffix == ".ogg" else 2**-15)


def test_channels_are_averaged_and_rates_converted(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    tone = make_sine(440.0, 48_000)
    soundfile.write(path, np.stack([tone, np.zeros_like(tone)], axis=1), 48_000, subtype="FLOAT")
    samples = read_audio(path, 16_000)
    np.testing.assert_allclose(samples[200:-200], 0.5 * make_sine(440.0, 16_000)[200:-200], atol=2e-4)


def write_bad(path: Path, kind: str) -> Path:
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no audio\n" * 50)
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0, np.float32), 16_000)
    elif kind == "nan":
        soundfile.write(path, np.array([0.0, np.nan] * 900, np.float32), 16_000, subtype="FLOAT")
    elif kind == "header cut":
        soundfile.write(path, make_sine(440.0, 16_000), 16_000)
        path.write_bytes(path.read_bytes()[:20])
    return path


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "no samples", "nan", "header cut"])
def test_bad_files_get_one_line_that_names_them(tmp_path: Path, kind: str) -> None:
    path = write_bad(tmp_path / "speech.wav", kind)
    with pytest.raises(BadInput) as caught:
        read_audio(path, 16_000)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0), "must hold samples"),
        (np.zeros((2, 2, 2)), r"got \[2, 2, 2\]"),
        (np.zeros(5, np.int32), "got int32"),
        (np.array([0.0, np.inf]), "finite"),
        (np.array([0.0, -np.inf]), "finite"),
        (np.array([0.0, np.nan, 1.0]), "finite"),
        (np.array([0.0, -1e20]), r"within 1e\+09 of 0 \(full scale is 1\), got 1e\+20"),
        (np.array([0.0, 1e300]), "within"),
        (np.zeros((2, 16_000)), "1 to 64 channels as .samples, channels., got 16000"),
        (np.zeros(5, np.complex64), "got complex64"),
        (np.array("text"), "got <U4"),
        (np.array(0.5), r"shape .* got \[\]"),
    ],
)
def test_bad_waveforms_are_refused(waveform: NDArray[np.float64], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_waveform(waveform, "waveform")


@pytest.mark.filterwarnings("error")
def test_half_precision_and_sums_beyond_float64_warn_of_nothing() -> None:
    halves = np.array([0.5, -60_000.0], np.float16)
    np.testing.assert_array_equal(check_waveform(halves, "w"), halves.astype(np.float32))
    np.testing.assert_array_equal(check_waveform(np.full((3, 2), 60_000, np.float16), "w"), np.full(3, 60_000, np.float16))
    with pytest.raises(BadInput, match="finite"):
        check_waveform(np.full((2, 2), 1e308), "w")


def test_what_is_no_regular_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "a folder"), (Path("/dev/zero"), "a device or pipe"), (tmp_path / "pipe", "a device or pipe")):
        with pytest.raises(BadInput, match=f"a regular file, got {path}: {kind}"):
            read_audio(path, 16_000)
    with pytest.raises(BadInput, match="nothing there"):
        read_audio(tmp_path / "missing.wav", 16_000)
    with pytest.raises(BadInput, match="File name too long"):
        read_audio(tmp_path / ("x" * 300), 16_000)


def test_integers_are_scaled_and_channels_averaged() -> None:
    np.testing.assert_array_equal(check_waveform(np.array([0, 16_384, -32_768], np.int16), "w"), np.array([0.0, 0.5, -1.0], np.float32))
    np.testing.assert_array_equal(check_waveform(np.array([[1.0, 0.0], [0.5, 0.5]]), "w"), np.array([0.5, 0.5], np.float32))


@pytest.mark.filterwarnings("default::paredown.runtime.audio.ResamplingNote")
def test_resampling_is_told_once_for_each_pair_of_rates(tmp_path: Path) -> None:
    for rate_hz in (8_000, 44_100):
        soundfile.write(tmp_path / f"{rate_hz}.wav", make_sine(440.0, rate_hz), rate_hz)
    with warnings.catch_warnings(record=True) as notes:
        for _ in range(3):
            for rate_hz in (8_000, 44_100):
                from_file = load_audio(tmp_path / f"{rate_hz}.wav", LIMITS)
                from_array = load_audio(make_sine(440.0, rate_hz), LIMITS, rate_hz)
                np.testing.assert_allclose(from_file, from_array, atol=2**-14)
            load_audio(make_sine(440.0, 16_000), LIMITS)
            load_audio(make_sine(440.0, 16_000), LIMITS, 16_000)
    assert [str(note.message) for note in notes] == [f"audio at {rate_hz} Hz is resampled to 16000 Hz" for rate_hz in (8_000, 44_100)]
    assert {note.category for note in notes} == {ResamplingNote}


@pytest.mark.parametrize("rate_hz", [0, -16_000, 999, 768_001, 2**31, True, 16_000.0, "16k"])
def test_impossible_rates_are_refused(rate_hz: object) -> None:
    with pytest.raises(BadInput, match=r"whole number in \[1000, 768000\] Hz, got"):
        load_audio(make_sine(440.0, 16_000), LIMITS, rate_hz)  # type: ignore[arg-type]


def test_a_file_says_its_own_rate_and_nothing_else_is_audio(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", make_sine(440.0, 16_000), 16_000)
    with pytest.raises(BadInput, match="a file says its own; got 16000 with"):
        load_audio(tmp_path / "a.wav", LIMITS, 16_000)
    with pytest.raises(BadInput, match="a file's path or a NumPy array, got list"):
        load_audio([0.0, 1.0], LIMITS)  # type: ignore[arg-type]


def test_a_long_file_is_refused_before_its_samples_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour, which would be 230 MB: what the header says is enough."""
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(16_000 * 60, np.int16))
    monkeypatch.setattr(soundfile.SoundFile, "read", None)
    with pytest.raises(BadInput, match=r"at most 10\.0 s .* got 3600\.0 s: .*hour\.flac"):
        load_audio(path, LIMITS)


def test_a_long_waveform_is_refused_before_anything_is_made_of_it() -> None:
    hour = np.lib.stride_tricks.as_strided(np.zeros(2, np.int16), (3_600 * 44_100, 2), (0, 2))  # takes four bytes
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=r"got 3600\.0 s: waveform"):
            load_audio(hour, LIMITS, 44_100)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rates_hz", [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000)], ids=str)
def test_resampling_takes_no_multiple_of_the_audio(rates_hz: tuple[int, int]) -> None:
    from_hz, to_hz = rates_hz
    waveform = make_sine(440.0, from_hz, seconds=60.0)
    tracemalloc.start()
    try:
        resample(waveform, from_hz, to_hz)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The padded input, the result, and some MB for a block of 4096 windows of at most 200 samples.
    assert peak_bytes < waveform.nbytes * (1 + to_hz / from_hz) + 8e6


@pytest.mark.parametrize("rates_hz", [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (12_345, 16_000)], ids=str)
def test_blocks_join_without_a_seam(rates_hz: tuple[int, int]) -> None:
    """Long enough for many blocks; each output against its own sum over the filter, in float64."""
    from_hz, to_hz = rates_hz
    waveform = np.random.default_rng(0).normal(0, 0.1, 10 * from_hz).astype(np.float32)
    resampled = resample(waveform, from_hz, to_hz)
    up, down = to_hz // gcd(from_hz, to_hz), from_hz // gcd(from_hz, to_hz)
    largest = max(up, down)
    for place in np.random.default_rng(1).integers(0, len(resampled), 200):
        inputs = np.arange(len(waveform))
        inputs = inputs[np.abs(inputs * up - place * down) <= 32 * largest]
        offset = (inputs * up - place * down) / largest
        taps = up * 0.92 / largest * np.sinc(0.92 * offset) * np.i0(8 * np.sqrt(1 - (offset / 32) ** 2)) / np.i0(8)
        assert resampled[place] == pytest.approx(float(waveform[inputs] @ taps), abs=1e-6)
