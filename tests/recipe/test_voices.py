"""Voices: train never hears the held-out ones, printed voices read back, the plan repeats exactly."""

import numpy as np
import pytest

from studies.bundled_model.voices import (
    draw_distinct_voices,
    draw_held_out_voice,
    draw_seen_voice,
    list_espeak_speakers,
    parse_voice,
)


def test_seen_and_held_out_voices_never_meet() -> None:
    rng = np.random.default_rng(0)
    seen = [draw_seen_voice(rng) for _ in range(2000)]
    unheard = [draw_held_out_voice(rng) for _ in range(500)]
    assert not any(voice.held_out for voice in seen)
    assert all(voice.held_out for voice in unheard)
    assert not {(v.engine, v.name) for v in seen} & {(v.engine, v.name) for v in unheard}
    assert not set(list_espeak_speakers(True)) & set(list_espeak_speakers(False))
    assert {voice.engine for voice in seen} == {"espeak", "flite", "piper"}


def test_speed_and_pitch_keep_to_their_ranges() -> None:
    rng = np.random.default_rng(1)
    voices = [draw_seen_voice(rng) for _ in range(1000)]
    assert all(129 < 165 * voice.rate < 201 and 30 <= voice.pitch <= 70 for voice in voices)  # rate is rounded to 0.01, 1.7 words


def test_printed_voice_reads_back() -> None:
    rng = np.random.default_rng(2)
    for voice in [draw_seen_voice(rng) for _ in range(200)] + [draw_held_out_voice(rng) for _ in range(200)]:
        assert parse_voice(str(voice)) == voice


def test_parse_refuses_an_unknown_engine() -> None:
    with pytest.raises(ValueError, match=r"engine must be one of .* got 'festival'"):
        parse_voice("festival:kal:rate=1.00:pitch=50:liveliness=0.50")


def test_distinct_voices_are_distinct_speakers_and_seeded() -> None:
    for seed in range(200):
        voices = draw_distinct_voices(2, np.random.default_rng(seed))
        assert len({(voice.engine, voice.name) for voice in voices}) == 2
        assert voices == draw_distinct_voices(2, np.random.default_rng(seed))
