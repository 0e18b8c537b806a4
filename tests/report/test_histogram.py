"""Histograms of latencies: round edges, every sample in one bin, bars as long as their counts."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paredown.report.histogram import bin_edges, draw_histogram

samples = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=60)


@example([0.0625], 11)
@given(samples, st.integers(3, 20))
def test_every_sample_lies_in_a_bin(values: list[float], most: int) -> None:
    edges = bin_edges(np.array(values), most)
    assert len(edges) - 1 <= most
    assert edges[0] <= min(values)
    assert max(values) < edges[-1]
    assert np.histogram(values, edges)[0].sum() == len(values)


def test_edges_are_round() -> None:
    assert bin_edges(np.array([11.0, 48.0]), 10).tolist() == [10, 15, 20, 25, 30, 35, 40, 45, 50]


def test_bars_are_as_long_as_their_counts() -> None:
    lines = draw_histogram([1.0] * 8 + [2.0] * 4 + [3.0], width=8, most_bins=3)
    bars = [line.count("█") for line in lines]
    assert bars == [8, 4, 1]
    assert [line.split()[-1] for line in lines] == ["8", "4", "1"]


def test_one_run_among_thousands_is_seen() -> None:
    lines = draw_histogram([1.0] * 5000 + [2.0], width=10)
    assert "▏" in lines[-1]


def test_equal_runs_still_have_a_range() -> None:
    assert len(draw_histogram([5.0, 5.0])) == 1


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, 1.0]])
def test_samples_are_finite_and_at_least_one(values: list[float]) -> None:
    with pytest.raises(ValueError, match="a histogram needs finite samples"):
        draw_histogram(values)
