"""The engines give trimmed 16 kHz speech of a set level, faster when asked; skipped where an engine is not installed."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("soxr", reason="the recipe's resampler is not installed; the product does not need it")
from studies.bundled_model.engines import LEVEL_RMS, MARGIN_S, RATE_HZ, Speaker, set_level, trim
from studies.bundled_model.voices import Engine, Voice, list_espeak_speakers

TEXT = "Tom came at half past two."


def _need(library: str) -> None:
    try:
        ctypes.CDLL(library)
    except OSError:
        pytest.skip(f"{library} is not installed; only the recipe needs it")


def test_trim_keeps_the_margin_on_both_sides() -> None:
    samples = np.zeros(3 * RATE_HZ, np.float32)
    samples[RATE_HZ : 2 * RATE_HZ] = 0.1
    kept = trim(samples)
    margin = int(MARGIN_S * RATE_HZ)
    assert len(kept) == RATE_HZ + 2 * margin
    assert not kept[:margin].any()
    assert kept[margin : margin + RATE_HZ].all()
    assert len(trim(np.zeros(RATE_HZ, np.float32))) == 0


def test_level_is_set_unless_a_peak_would_clip() -> None:
    even = set_level(np.sin(np.arange(16_000) / 10).astype(np.float32))
    assert np.sqrt(np.mean((even / 32767.0) ** 2)) == pytest.approx(LEVEL_RMS, rel=1e-3)  # rounding to int16: 1e-5 of full scale
    spike = np.zeros(16_000, np.float32)
    spike[5] = 1.0
    assert set_level(spike).max() == round(0.98 * 32767)


@pytest.mark.parametrize(
    ("engine", "name", "library"),
    [("espeak", "en-us+m3", "libespeak-ng.so.1"), ("flite", "slt", "libflite.so.1"), ("flite", "rms", "libflite.so.1")],
)
def test_speech_is_faster_when_asked(engine: Engine, name: str, library: str) -> None:
    _need(library)
    slow, fast = (Speaker().say(TEXT, Voice(engine, name, rate, 50.0, 0.5)) for rate in (0.8, 1.2))
    assert slow.dtype == np.int16
    assert 0.8 < len(slow) / RATE_HZ < 3.5
    assert len(slow) / len(fast) == pytest.approx(1.5, abs=0.2)  # margins and shortest sounds do not scale


_SPEAK = """
import hashlib
from studies.bundled_model.engines import Speaker
from studies.bundled_model.voices import Voice
speaker = Speaker()
for engine, name in (("espeak", "en-us+klatt2"), ("flite", "slt"), ("espeak", "en+f2"), ("flite", "rms")):
    print(hashlib.sha256(speaker.say("Tom came.", Voice(engine, name, 1.1, 60.0, 0.3)).tobytes()).hexdigest())
"""


def test_equal_calls_in_a_fresh_process_give_equal_samples() -> None:
    """espeak-ng carries its phase from call to call, so the promise is per sequence of calls."""
    _need("libespeak-ng.so.1")
    _need("libflite.so.1")
    first, second = (subprocess.run([sys.executable, "-c", _SPEAK], check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert first == second
    assert len(set(first.split())) == 4


def test_flite_says_the_same_whatever_it_said_before() -> None:
    _need("libflite.so.1")
    speaker, voice = Speaker(), Voice("flite", "rms", 1.0, 50.0, 0.5)
    first = speaker.say(TEXT, voice)
    speaker.say("Something else.", voice)
    np.testing.assert_array_equal(first, speaker.say(TEXT, voice))


def test_espeak_knows_every_speaker_of_the_catalogue() -> None:
    _need("libespeak-ng.so.1")
    speaker = Speaker()
    for name in list_espeak_speakers(True) + list_espeak_speakers(False)[::7]:
        assert len(speaker.say("Hello.", Voice("espeak", name, 1.0, 50.0, 0.5))) > 0.2 * RATE_HZ
