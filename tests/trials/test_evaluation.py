"""The pieces of an evaluation that can be said exactly: which utterances are timed, and how latencies of one study share a scale."""

from pathlib import Path

import pytest

from paredown.data import Split, Utterance
from paredown.profilers.latency import Latency, Timing
from paredown.trials.evaluation import on_one_scale, spread_by_length


def split_of_sizes(folder: Path, sizes: list[int]) -> Split:
    utterances = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.wav"
        path.write_bytes(bytes(size))
        utterances.append(Utterance(f"u{number}", path, "a", "b"))
    return Split("s", tuple(utterances))


def test_timed_utterances_cover_short_and_long_ones(tmp_path: Path) -> None:
    split = split_of_sizes(tmp_path, [9, 1, 5, 7, 3, 8, 2, 6, 4, 0])
    sizes = [utterance.audio.stat().st_size for utterance in spread_by_length(split, 5).utterances]
    # one of each fifth of the lengths
    assert [size // 2 for size in sizes] == [0, 1, 2, 3, 4]


def test_a_small_split_is_taken_whole(tmp_path: Path) -> None:
    split = split_of_sizes(tmp_path, [3, 1])
    assert spread_by_length(split, 5) == split


def test_the_ratio_is_put_on_the_scale_of_the_study() -> None:
    """A machine that has become twice as slow since the reference was timed changes the clock's figure, not the trial's."""
    timing = Timing(median_ms=40.0, p90_ms=None, ci95_ms=(38.0, 42.0), ratio=0.5, ratio_ci95=(0.45, 0.55), runs=24, tokens=11.0)
    result = on_one_scale(Latency(timing, timing), reference_ms=40.0)
    assert result.value == pytest.approx(20.0)
    assert result.ci95 == pytest.approx((18.0, 22.0))
    assert result.detail_of["clock_median"] == 40.0
    assert result.detail_of["tokens"] == 11.0
