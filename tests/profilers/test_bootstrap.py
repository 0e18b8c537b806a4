"""Bootstrap of a median: against SciPy, and by its coverage where the true median is known."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from paredown.profilers.bootstrap import median_interval


def test_equals_scipy_for_independent_samples() -> None:
    samples = np.random.default_rng(0).lognormal(3.0, 0.4, size=60)
    low, high = median_interval(samples[:, None], np.random.default_rng(1), resamples=20_000)
    oracle = bootstrap((samples,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    # The ends are order statistics or their midpoints; two runs of 20,000 resamples may fall on neighbours, 1 % apart here.
    assert low == pytest.approx(oracle.low, rel=0.02)
    assert high == pytest.approx(oracle.high, rel=0.02)


def test_covers_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        low, high = median_interval(rng.exponential(size=(40, 1)), rng, resamples=400)
        hits += low <= np.log(2) <= high
    # Nominal 190 of 200; five standard deviations (3.1 each) to either side, and never always.
    assert 174 <= hits <= 199


def test_repeats_of_one_utterance_are_not_taken_for_new_utterances() -> None:
    """Ten copies of the same 20 numbers tell nothing more about the median: the interval must not shrink."""
    column = np.random.default_rng(4).normal(50.0, 10.0, size=(20, 1))
    once = median_interval(column, np.random.default_rng(5))
    tenfold = median_interval(np.repeat(column, 10, axis=1), np.random.default_rng(5))
    assert tenfold == pytest.approx(once)
    naive = median_interval(np.repeat(column, 10, axis=0), np.random.default_rng(5))
    assert naive[1] - naive[0] < 0.6 * (once[1] - once[0])  # what taking them for new would claim: sqrt(10) narrower


def test_one_utterance_draws_its_repeats() -> None:
    low, high = median_interval(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), np.random.default_rng(6))
    assert low < 3.0 < high


def test_one_sample_has_no_width() -> None:
    assert median_interval(np.array([[7.0]]), np.random.default_rng(0)) == (7.0, 7.0)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[items, repeats\]"):
        median_interval(np.zeros(shape), np.random.default_rng(0))
