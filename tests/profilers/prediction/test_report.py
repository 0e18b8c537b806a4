"""Reports on predictions: arithmetic by hand, rank correlation beside SciPy's and beside a loop over pairs."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from paredown.profilers.prediction.report import PredictorReport, apart_pairs, rank_correlation


def draw(seed: int, count: int = 12) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float]]]:
    rng = np.random.default_rng(seed)
    measured = np.round(rng.uniform(10, 40, count))  # ties among them
    widths = rng.uniform(0, 5, count)
    return (
        measured * rng.uniform(0.7, 1.3, count),
        measured,
        [(value - width, value + width) for value, width in zip(measured, widths, strict=True)],
    )


@pytest.mark.parametrize("seed", range(5))
def test_over_all_pairs_it_is_spearmans_coefficient(seed: int) -> None:
    predicted, measured, _ = draw(seed)
    everything = ~np.eye(len(measured), dtype=bool)
    assert rank_correlation(predicted, measured, everything) == pytest.approx(spearmanr(predicted, measured).statistic)


@pytest.mark.parametrize("seed", range(5))
def test_overlapping_pairs_are_left_out_as_a_loop_leaves_them_out(seed: int) -> None:
    predicted, measured, intervals = draw(seed)
    ranks, products, squares, pairs = (rankdata(predicted), rankdata(measured)), 0.0, [0.0, 0.0], 0
    for one, other in combinations(range(len(measured)), 2):
        if intervals[one][0] > intervals[other][1] or intervals[other][0] > intervals[one][1]:
            first, second = (rank[one] - rank[other] for rank in ranks)
            products, squares, pairs = products + first * second, [squares[0] + first**2, squares[1] + second**2], pairs + 1
    report = PredictorReport.of(predicted.tolist(), measured.tolist(), intervals)
    assert 0 < pairs < 66
    assert (report.pairs, report.spearman) == (pairs, pytest.approx(products / np.sqrt(squares[0] * squares[1])))


def test_errors_by_hand() -> None:
    report = PredictorReport.of([9.0, 22.0, 30.5, 60.0], [10.0, 20.0, 30.0, 40.0], [(9.9, 10.1), (19, 21), (29, 31), (39, 41)])
    assert report.median_error == pytest.approx(0.1)  # of 0.1, 0.1, 1 / 60, 0.5
    assert report.close_share == 0.75
    assert (report.spearman, report.pairs, report.span, report.configurations) == (pytest.approx(1.0), 6, 4.0, 4)


def test_a_wrong_order_within_the_noise_does_not_count_as_one() -> None:
    swapped, measured = [10.2, 10.0, 20.0], [10.0, 10.1, 20.0]
    apart = PredictorReport.of(swapped, measured, [(10.0, 10.0), (10.1, 10.1), (20.0, 20.0)])
    overlapping = PredictorReport.of(swapped, measured, [(9.9, 10.1), (10.0, 10.2), (19.9, 20.1)])
    assert apart.spearman == pytest.approx(0.5)
    assert overlapping.spearman == pytest.approx(0.8)  # rank differences of the two other pairs: (1 * 2 + 2 * 1) / 5


def test_intervals_that_touch_overlap() -> None:
    assert apart_pairs([(0, 1), (1, 2), (2.5, 3)]).tolist() == [[False, False, True], [False, False, True], [True, True, False]]


def test_without_pairs_there_is_no_rank_figure() -> None:
    report = PredictorReport.of([1.0, 2.0], [1.0, 2.0], [(0, 3), (0, 3)])
    assert np.isnan(report.spearman)
    assert report.pairs == 0


def test_impossible_reports_are_refused() -> None:
    with pytest.raises(ValueError, match="one or more of each, got 0, 0 and 0"):
        PredictorReport.of([], [], [])
    with pytest.raises(ValueError, match="above 0, got 0"):
        PredictorReport.of([1.0], [0.0], [(0.0, 0.0)])
