"""Kendall's tau against its definition, counted pair by pair."""

import itertools
from math import sqrt

import numpy as np
import pytest

from paredown.analysis.agreement import agreement, summed


@pytest.mark.parametrize("seed", range(20))
def test_counts_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 6, 9).astype(float), rng.integers(0, 6, 9).astype(float)
    signs = [(np.sign(left[i] - left[j]), np.sign(right[i] - right[j])) for i, j in itertools.combinations(range(9), 2)]
    expected = sum(a * b for a, b in signs) / sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    assert agreement("x", left, right).tau == pytest.approx(expected, abs=1e-12)


def test_says_what_it_found() -> None:
    found = agreement("posteriors", np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.2, 0.3, 5.0]))
    assert (found.tau, found.count) == (1.0, 4)
    assert str(found).startswith("posteriors: Kendall tau +1.00 (p ")


@pytest.mark.parametrize(
    ("sensitivity", "loss", "message"),
    [
        ([1.0, 2.0], [1.0], "of the same subjects"),
        ([1.0], [1.0], "at least two subjects, got 1"),
        ([1.0, 1.0], [1.0, 2.0], "sensitivities must differ"),
        ([1.0, 2.0], [3.0, 3.0], "losses must differ"),
    ],
)
def test_what_cannot_be_ranked_is_named(sensitivity: list[float], loss: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreement("x", np.array(sensitivity), np.array(loss))


def test_sums_by_label() -> None:
    assert summed(np.array([1.0, 2.0, 4.0]), ("b", "a", "b")) == {"b": 5.0, "a": 2.0}
