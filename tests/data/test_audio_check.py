"""The check of a split's audio: files that decode pass, and the first that does not is named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from paredown.data import Split, Utterance, check_audio
from paredown.errors import BadInput

RATE_HZ = 16_000


def write_audio(path: Path, samples: int = 4_000, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.1, (samples, channels))
    soundfile.write(path, noise, rate_hz, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def split_of(*paths: Path) -> Split:
    return Split("test", tuple(Utterance(path.stem, path, "text", None) for path in paths))


def refusal(*paths: Path, least_samples: int = 1) -> str:
    with pytest.raises(BadInput) as caught:
        check_audio(split_of(*paths), least_samples, RATE_HZ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_files_of_any_format_rate_and_channels_pass(tmp_path: Path) -> None:
    files = [write_audio(tmp_path / f"a.{suffix}") for suffix in ("wav", "flac", "ogg", "mp3")]
    files += [write_audio(tmp_path / "b.wav", rate_hz=44_100, channels=2), write_audio(tmp_path / "c.flac", rate_hz=8_000)]
    check_audio(split_of(*files), 1_000, RATE_HZ)


def test_the_first_damaged_file_is_named(tmp_path: Path) -> None:
    good, bad, worse = (write_audio(tmp_path / f"{name}.flac") for name in ("good", "bad", "worse"))
    bad.write_bytes(bad.read_bytes()[:2_000])
    worse.write_bytes(b"no audio")
    assert soundfile.info(bad).frames == 4_000  # the header is whole: only decoding tells
    assert f"an audio file must be readable, got {bad}: " in refusal(good, bad, worse)
    assert f"got {worse}: " in refusal(worse, bad)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"<html>not found</html>"])
def test_what_is_no_audio_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert f"an audio file must be readable, got {path}: " in refusal(path)
    path.unlink()
    assert f"an audio file must be readable, got {path}: " in refusal(path)


def test_a_file_without_samples_is_named(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", samples=0)
    assert refusal(path) == f"audio must hold samples, got none: {path}"


def test_samples_that_are_not_finite_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, np.nan, 0.1]), RATE_HZ, subtype="FLOAT")
    assert refusal(path) == f"audio samples must be finite numbers, got NaN or infinity: {path}"


def test_length_is_counted_at_the_rate_of_the_model(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", samples=1_001, rate_hz=48_000)
    check_audio(split_of(path), 334, RATE_HZ)  # 1,001 / 3 rounded up, as resampling gives
    assert refusal(path, least_samples=335) == f"audio must hold at least 335 samples at 16000 Hz, got 334: {path}"


def test_a_file_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", samples=48_003, rate_hz=48_000)
    check_audio(split_of(path), 1, RATE_HZ, most_samples=16_001)
    with pytest.raises(BadInput) as caught:
        check_audio(split_of(path), 1, RATE_HZ, most_samples=8_000)
    assert str(caught.value) == f"audio must last at most 0.5 s (for its memory), got 1.0 s: {path}"
