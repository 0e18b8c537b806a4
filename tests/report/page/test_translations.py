"""Words that differ are marked, and audio goes into the page in few bytes."""

import base64
import io
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from paredown.report.page.translations import KEPT_BYTES, audio_uri, mark_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "<b>"]), max_size=8).map(" ".join)


def test_words_that_differ_are_marked() -> None:
    assert mark_words("Tom was hit by a car", "Tom was in a car") == [["Tom was", 0], ["in", 1], ["a car", 0]]
    assert mark_words("a b c", "a c") == [["a", 0], ["", 1], ["c", 0]]
    assert mark_words("a", "a") == [["a", 0]]


@given(WORDS, WORDS)
def test_pieces_make_up_the_text(before: str, after: str) -> None:
    spans = mark_words(before, after)
    assert " ".join(text for text, _ in spans if text).split() == after.split()
    assert (before.split() == after.split()) == (not any(differs for _, differs in spans))


def decoded(uri: str) -> tuple[int, int]:
    """Samples and rate."""
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return len(samples), rate_hz


def test_a_small_file_that_browsers_play_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(16_000), 16_000)
    uri = audio_uri(path)
    assert uri is not None
    assert uri.startswith("data:audio/flac;base64,")
    assert base64.b64decode(uri.partition(",")[2]) == path.read_bytes()


def test_other_files_become_ogg(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (48_000, 2))
    for rate_hz in (16_000, 22_050):  # Opus, and a rate that it does not have
        path = tmp_path / f"{rate_hz}.wav"
        soundfile.write(path, noise, rate_hz)
        uri = audio_uri(path)
        assert uri is not None
        assert uri.startswith("data:audio/ogg;base64,")
        assert len(uri) < path.stat().st_size / 2
        assert decoded(uri) == (48_000, rate_hz)


def test_a_large_flac_is_encoded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 64_000), 16_000)
    assert path.stat().st_size > KEPT_BYTES
    assert str(audio_uri(path)).startswith("data:audio/ogg")


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    assert audio_uri(tmp_path / "a.wav") is None
    assert audio_uri(tmp_path / "gone.opus") is None
