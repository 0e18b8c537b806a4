"""How long audio may be: the longest that fits, and what is said of longer and shorter audio."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.runtime.audio_limits import AudioLimits, MemoryNeed

LIMITS = AudioLimits(least_samples=800, most_samples=160_000, sample_rate_hz=16_000, limit_bytes=4_000_000_000)
sizes = st.floats(0, 1e6, allow_nan=False)


@given(frame=sizes, pair=st.floats(1e-3, 100), node=sizes, per_state=st.integers(1, 8), beam=st.integers(0, 50), limit=st.floats(1, 1e13))
def test_the_longest_audio_is_the_last_that_fits(frame: float, pair: float, node: float, per_state: int, beam: int, limit: float) -> None:
    need = MemoryNeed(frame, pair, node, per_state)
    longest = need.longest(limit, lambda states: beam * states)
    assert longest >= 0
    assert need.of(longest, beam * (longest // per_state)) <= limit
    assert need.of(longest + 1, beam * ((longest + 1) // per_state)) > limit


def test_numbers_of_the_first_papers_shape() -> None:
    """By hand: 50 kB a frame, 6.5 bytes a pair, no search: 0.05 F + 6.5e-6 F^2 = 4000 MB at F = 21,257."""
    assert MemoryNeed(50_000, 6.5, 0, 4).longest(4e9, lambda _: 0) == 21_257


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True, 2.0**60])
@pytest.mark.parametrize("name", ["frame_bytes", "frame_pair_bytes", "node_bytes", "frames_per_state"])
def test_other_numbers_are_refused(name: str, value: object) -> None:
    numbers = {"frame_bytes": 1, "frame_pair_bytes": 1.5, "node_bytes": 1, "frames_per_state": 4}
    assert MemoryNeed.from_json(numbers).of(2, 3) == 11
    with pytest.raises(ValueError, match=rf"memory\.{name} must be"):
        MemoryNeed.from_json({**numbers, name: value})
    with pytest.raises(TypeError):
        MemoryNeed.from_json({**numbers, "more": 1})
    assert json.loads(json.dumps(numbers)) == numbers


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (799, "audio must have at least 800 samples at 16000 Hz, got 799: a.wav"),
        (160_160, r"at most 10\.0 s to be decoded in 4 GB \(the memory limit\), got 10\.0 s: a.wav"),
        (57_600_000, r"at most 10\.0 s .* got 3600\.0 s: a.wav"),
    ],
)
def test_audio_outside_the_limits_is_refused(samples: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        LIMITS.check_samples(samples, "a.wav")
    LIMITS.check_samples(800, "a.wav")
    LIMITS.check_samples(160_000, "a.wav")


@pytest.mark.parametrize("name", ["frame_bytes", "node_bytes"])
def test_a_bundle_cannot_say_that_audio_takes_nothing(name: str) -> None:
    numbers = {"frame_bytes": 1, "frame_pair_bytes": 0, "node_bytes": 1, "frames_per_state": 4}
    with pytest.raises(ValueError, match=rf"memory\.{name} must be above 0, got 0"):
        MemoryNeed.from_json({**numbers, name: 0})


def test_searches_that_go_on_together_share_the_limit() -> None:
    """By hand: three utterances of 10 frames and 4 nodes, and the pairs of the one that is being encoded."""
    need = MemoryNeed(100, 2.0, 7, 4)
    assert need.of(10, 4, places=3) == 3 * (1_000 + 28) + 200
    alone, together = (need.longest(1e6, lambda states: 2 * states, places) for places in (1, 3))
    assert need.of(together, 2 * (together // 4), 3) <= 1e6 < need.of(together + 1, 2 * ((together + 1) // 4), 3)
    assert together < alone
