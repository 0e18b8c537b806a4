"""Joined utterances keep to the cap; rooms decay as asked; noise arrives at the ratio asked."""

from itertools import pairwise

import numpy as np
import pytest

from studies.bundled_model.utterance import (
    LONGEST_S,
    NOISE_COLOURS,
    PAUSE_S,
    RATE_HZ,
    add_noise,
    as_float,
    disturb,
    impulse_response,
    join,
    make_noise,
    reverberate,
)


def _speech(seconds: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * 2000).astype(np.int16)


def test_join_places_every_waveform_unchanged_between_pauses_in_range() -> None:
    parts = [_speech(1.0, seed) for seed in range(4)]
    joined = join(parts, np.random.default_rng(3))
    assert joined.dtype == np.float32
    pauses = len(joined) / RATE_HZ - 4.0
    assert 3 * PAUSE_S[0] - 3 / RATE_HZ <= pauses <= 3 * PAUSE_S[1]  # every pause is cut to whole samples
    np.testing.assert_array_equal(joined[:RATE_HZ], parts[0].astype(np.float32) / 32768)
    np.testing.assert_array_equal(joined[-RATE_HZ:], parts[-1].astype(np.float32) / 32768)


def test_join_refuses_more_than_the_cap_and_nothing_at_all() -> None:
    with pytest.raises(ValueError, match=f"at most {LONGEST_S} s, got 8.2"):
        join([_speech(4.0), _speech(4.0)], np.random.default_rng(1))
    with pytest.raises(ValueError, match="at least one"):
        join([], np.random.default_rng(0))


@pytest.mark.parametrize("snr_db", [12.0, 30.0])
@pytest.mark.parametrize("colour", NOISE_COLOURS)
def test_noise_has_the_ratio_asked(colour: str, snr_db: float) -> None:
    rng = np.random.default_rng(5)
    speech = as_float(_speech(2.0))
    added = add_noise(speech, make_noise(colour, len(speech), rng), snr_db) - speech
    got_db = 10 * np.log10(np.mean(speech.astype(np.float64) ** 2) / np.mean(added.astype(np.float64) ** 2))
    assert got_db == pytest.approx(snr_db, abs=0.01)  # float32 sums lose about 1e-4 of the noise amplitude


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -1.0), ("brown", -2.0)])
def test_noise_colour_is_the_slope_of_its_power(colour: str, slope: float) -> None:
    count = 1 << 18
    power = np.abs(np.fft.rfft(make_noise(colour, count, np.random.default_rng(0)).astype(np.float64))) ** 2
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    edges = np.geomspace(100, 6400, 13)
    bands = [power[(hz >= low) & (hz < high)].mean() for low, high in pairwise(edges)]
    fitted = np.polyfit(np.log(edges[:-1]), np.log(bands), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)  # lowest band averages 680 bins: 4 % level error, 0.01 in slope


@pytest.mark.parametrize("rt60_s", [0.15, 0.3, 0.5])
def test_room_falls_by_60_db_in_its_reverberation_time(rt60_s: float) -> None:
    tails = np.stack([impulse_response(rt60_s, np.random.default_rng(seed)) for seed in range(40)]).astype(np.float64)
    np.testing.assert_allclose(np.sum(tails**2, axis=1), 1.0, rtol=1e-5)  # float32 taps
    energy = np.mean(tails[:, 1:] ** 2, axis=0)
    block = len(energy) // 50
    level_db = 10 * np.log10(energy[: block * 50].reshape(50, block).mean(axis=1))
    fall_db_per_s = -np.polyfit((np.arange(50) + 0.5) * block / RATE_HZ, level_db, 1)[0]
    assert fall_db_per_s * rt60_s == pytest.approx(60.0, abs=1.0)  # a block averages 1,880 squared normals or more: 0.15 dB each


def test_reverberation_equals_direct_convolution_and_keeps_the_length() -> None:
    rng = np.random.default_rng(2)
    speech = rng.standard_normal(3000).astype(np.float32)
    room = impulse_response(0.15, rng)
    expected = np.convolve(speech.astype(np.float64), room.astype(np.float64))[:3000]
    np.testing.assert_allclose(reverberate(speech, room), expected, atol=1e-5)  # float32 FFT of values near 1


def test_disturb_is_seeded_keeps_the_length_and_never_clips() -> None:
    speech = join([_speech(1.0), _speech(1.0, 1)], np.random.default_rng(0))
    loud = speech / np.abs(speech).max()
    for seed in range(50):
        heard = disturb(loud, np.random.default_rng(seed))
        assert heard.dtype == np.float32
        assert len(heard) == len(loud)
        assert np.abs(heard).max() <= 0.9901  # 0.99 rounded in float32
        np.testing.assert_array_equal(heard, disturb(loud, np.random.default_rng(seed)))


def test_disturb_leaves_about_28_percent_without_noise_and_room() -> None:
    speech = join([_speech(0.3)], np.random.default_rng(0))
    heard = np.abs(speech) > 0.01
    ratios = [disturb(speech, np.random.default_rng(seed))[heard] / speech[heard] for seed in range(600)]
    clean = sum(float(np.std(ratio)) < 1e-4 for ratio in ratios)  # gain alone leaves float32 rounding
    assert 0.22 * 600 < clean < 0.34 * 600  # 0.4 x 0.7 = 0.28, three standard deviations of 0.018
