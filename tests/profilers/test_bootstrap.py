"""Bootstrap of a median: against SciPy, and by its coverage where the true median is known."""

import numpy as np
import pytest
from scipy.stats import bootstrap, trim_mean

from paredown.profilers.bootstrap import cluster_median_interval, median_interval, trimmed_mean, trimmed_mean_interval


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


def test_clusters_need_not_be_of_one_size() -> None:
    """One utterance with 30 of 50 runs: drawing it or not moves the median, which independent runs would hide."""
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1, 2, 3, 4], [30, 5, 5, 5, 5])
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])[labels] + 0.001 * rng.standard_normal(50)
    low, high = cluster_median_interval(values, labels, np.random.default_rng(8))
    assert low < 1.1
    assert high > 2.9
    alone = cluster_median_interval(values, np.arange(50), np.random.default_rng(8))
    assert alone[1] - alone[0] < 1.1


def test_the_trimmed_mean_is_deaf_to_spikes() -> None:
    values = np.array([*np.linspace(-1.0, 1.0, 11), 1e6, -1e6])
    assert trimmed_mean(values) == pytest.approx(0.0)
    assert trimmed_mean(values) == pytest.approx(trim_mean(values, 0.2))


@pytest.mark.parametrize(
    ("load_sd", "item_sd", "noise", "loads", "visits"),
    [(0.0, 0.0, 0.05, 1, 48), (0.0, 0.05, 0.02, 1, 48), (0.02, 0.0, 0.02, 12, 4), (0.0, 0.0, 0.05, 12, 4), (0.02, 0.05, 0.02, 12, 4)],
)
def test_an_interval_knows_utterances_and_loads(load_sd: float, item_sd: float, noise: float, loads: int, visits: int) -> None:
    """Whichever of them makes samples alike, and with spikes: one in twenty is ten times as far off."""
    rng = np.random.default_rng(9)
    hits, items = 0, 24
    places = np.repeat(np.arange(loads), visits)
    for _ in range(600):
        order = np.concatenate([rng.permutation(items) for _ in range(loads * visits // items)])
        spiked = np.where(rng.random(order.size) < 0.05, 10.0, 1.0)
        values = load_sd * rng.standard_normal(loads)[places] + item_sd * rng.standard_normal(items)[order]
        values += noise * spiked * rng.standard_normal(order.size)
        low, high = trimmed_mean_interval(values, order, places, rng, resamples=400)
        hits += low <= 0.0 <= high
    assert 540 <= hits <= 594  # 90 to 99 %; nominal 570, a standard deviation is 5.3


def test_one_load_or_one_utterance_draws_the_other() -> None:
    values = np.random.default_rng(10).normal(5.0, 1.0, 40)
    one, several = np.zeros(40, dtype=np.intp), np.arange(40) % 8
    forth, back = (trimmed_mean_interval(values, *labels, np.random.default_rng(11)) for labels in ((one, several), (several, one)))
    assert forth == pytest.approx(back)
    low, high = trimmed_mean_interval(values, one, one, np.random.default_rng(11))
    assert low < trimmed_mean(values) < high
    assert trimmed_mean_interval(values[:1], one[:1], one[:1], np.random.default_rng(11)) == (values[0], values[0])


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match=r"one length, got shapes \(3,\) and \(2,\)"):
        trimmed_mean_interval(np.ones(3), np.arange(2), np.arange(3), np.random.default_rng(0))
    with pytest.raises(ValueError, match="non-empty"):
        cluster_median_interval(np.ones(0), np.arange(0), np.random.default_rng(0))
