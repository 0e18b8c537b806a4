"""GPTQ against the paper's algorithm written out column by column, against brute force, and against rounding to the nearest."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from paredown.compress.gptq import PAPER, Effort, quantize_calibrated
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Quantized


def make_problem(seed: int, channels: int, size: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight [channels, size] and the moment of correlated inputs, of rank `rows` at most."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((rows, size)) @ (np.eye(size) + 0.5 * rng.standard_normal((size, size)))
    return rng.standard_normal((channels, size), dtype=np.float32), (inputs.T @ inputs / rows).astype(np.float32)


def damped(moment: np.ndarray, damping: float) -> np.ndarray:
    return moment.astype(np.float64) + damping * np.trace(moment.astype(np.float64)) / len(moment) * np.eye(len(moment))


def errors(weight: np.ndarray, found: Quantized, hessian: np.ndarray) -> np.ndarray:
    """The weighed error of every channel, by definition."""
    rest = (weight.astype(np.float64) - found.codes * found.scales.astype(np.float64)[:, None]).reshape(len(weight), -1)
    return np.array([row @ hessian @ row for row in rest])


def paper_gptq(weight: np.ndarray, bits: int, hessian: np.ndarray, granularity: str, mask: np.ndarray) -> np.ndarray:
    """Algorithm 1 of the paper without blocks, most important columns first: codes [channels, size]."""
    order = np.argsort(-np.diag(hessian), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    steps = quantize(weight, bits, granularity, mask).scales.astype(np.float64)
    top, rest, codes = 2 ** (bits - 1) - 1, weight.astype(np.float64)[:, order], np.zeros(weight.shape)
    for column, place in enumerate(order):
        codes[:, place] = np.clip(np.rint(rest[:, column] / steps), -top, top) * mask[:, place]
        error = (rest[:, column] - codes[:, place] * steps) / factor[column, column]
        rest[:, column:] -= np.outer(error, factor[column, column:])
    return codes


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_the_papers_effort_gives_the_papers_codes(bits: int, granularity: str) -> None:
    weight, moment = make_problem(bits, 7, 300, 500)  # more than two blocks of columns
    mask = np.random.default_rng(1).random(weight.shape) > 0.3
    for kept in (np.ones_like(mask), mask):
        found = quantize_calibrated(weight, bits, moment, granularity, None if kept.all() else kept, PAPER)
        expected = paper_gptq(weight, bits, damped(moment, PAPER.damping), granularity, kept)
        nearest = quantize(weight, bits, granularity, kept)
        hessian = damped(moment, PAPER.damping)
        ours = Quantized(expected.astype(np.int8), nearest.scales, bits)
        better = errors(weight, ours, hessian) < errors(weight, nearest, hessian)
        assert better.mean() > 0.8  # where it is not, or not in sum, rounding to the nearest is taken
        if granularity == "tensor":
            assert better.all()
        np.testing.assert_array_equal(found.codes, np.where(better[:, None], expected, nearest.codes))
        np.testing.assert_array_equal(found.scales, nearest.scales)


@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from(["channel", "tensor"]))
@settings(deadline=None, max_examples=30)
def test_inputs_without_correlation_leave_nothing_to_make_up_for(seed: int, bits: int, granularity: str) -> None:
    rng = np.random.default_rng(seed)
    weight, moment = rng.standard_normal((3, 9), dtype=np.float32), np.diag(rng.uniform(0, 5, 9)).astype(np.float32)
    found, nearest = quantize_calibrated(weight, bits, moment, granularity, effort=PAPER), quantize(weight, bits, granularity)
    np.testing.assert_array_equal(found.codes, nearest.codes)
    np.testing.assert_array_equal(found.scales, nearest.scales)


@given(
    st.integers(0, 10_000),
    st.integers(2, 8),
    st.sampled_from(["channel", "tensor"]),
    st.integers(1, 12),
    st.integers(1, 20),
    st.floats(0, 0.9),
)
@settings(deadline=None, max_examples=60)
def test_never_worse_than_the_nearest_codes(seed: int, bits: int, granularity: str, size: int, rows: int, pruned: float) -> None:
    weight, moment = make_problem(seed, 4, size, rows)
    mask = np.random.default_rng(seed).random(weight.shape) >= pruned
    hessian = damped(moment, Effort().damping)
    found = quantize_calibrated(weight, bits, moment, granularity, mask)
    ours, theirs = errors(weight, found, hessian), errors(weight, quantize(weight, bits, granularity, mask), hessian)
    slack = 1e-9 * np.trace(hessian)  # float64 rounding of two ways to add up one error
    assert (ours <= theirs + slack).all() if granularity == "channel" else ours.sum() <= theirs.sum() + slack
    assert not found.codes[~mask].any()
    assert np.abs(found.codes).max() <= 2 ** (bits - 1) - 1
    assert found.scales.shape == ((4,) if granularity == "channel" else (1,))
    assert (found.scales > 0).all()


def test_a_channel_that_the_paper_makes_worse_keeps_its_nearest_codes() -> None:
    weight, moment = make_problem(0, 200, 8, 6)
    hessian = damped(moment, PAPER.damping)
    nearest = quantize(weight, 6)
    codes = paper_gptq(weight, 6, hessian, "channel", np.ones_like(weight)).astype(np.int8)
    worse = errors(weight, Quantized(codes, nearest.scales, 6), hessian) > errors(weight, nearest, hessian)
    assert worse.any()
    found = quantize_calibrated(weight, 6, moment, effort=PAPER)
    np.testing.assert_array_equal(found.codes[worse], nearest.codes[worse])


def test_brute_force_finds_little_better() -> None:
    """All codes of a channel at the scale that was chosen: most channels have the best of them, and none is far from it."""
    ratios = []
    for seed in range(40):
        weight, moment = make_problem(seed, 1, 5, 30)
        hessian = damped(moment, Effort().damping)
        found = quantize_calibrated(weight, 3, moment)
        options = np.array(list(product(range(-3, 4), repeat=5)))
        rest = weight.astype(np.float64) - options * float(found.scales[0])
        best = np.einsum("ij,jk,ik->i", rest, hessian, rest).min()
        ratios.append(errors(weight, found, hessian)[0] / best)
    assert min(ratios) >= 1 - 1e-9
    assert np.mean(np.array(ratios) < 1 + 1e-9) > 0.6
    assert np.median(ratios) == pytest.approx(1)


def test_no_single_code_can_be_improved_in_the_end() -> None:
    weight, moment = make_problem(0, 6, 20, 100)
    hessian = damped(moment, Effort().damping)
    found = quantize_calibrated(weight, 3, moment, effort=Effort(sweeps=50))
    settled = errors(weight, found, hessian)
    for column in range(20):
        for change in (-1, 1):
            codes = found.codes.copy()
            codes[:, column] = np.clip(codes[:, column] + change, -3, 3)
            assert (errors(weight, Quantized(codes, found.scales, 3), hessian) >= settled - 1e-9).all()


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_scales_are_least_squares_of_the_codes_that_they_were_fitted_to(granularity: str) -> None:
    weight, moment = make_problem(6, 5, 30, 60)
    hessian = damped(moment, PAPER.damping)
    found = quantize_calibrated(weight, 3, moment, granularity, effort=Effort(PAPER.damping, clips=1, sweeps=1))
    codes = quantize_calibrated(weight, 3, moment, granularity, effort=PAPER).codes.astype(np.float64)
    root = np.linalg.cholesky(hessian)
    rounded = (codes != quantize(weight, 3, granularity).codes).any(axis=1)  # elsewhere the paper's codes were no better than the nearest
    assert rounded.sum() >= 4
    parts = [slice(row, row + 1) for row in np.flatnonzero(rounded)] if granularity == "channel" else [slice(None)]
    expected = [np.linalg.lstsq((codes[part] @ root).reshape(-1, 1), (weight[part] @ root).ravel())[0][0] for part in parts]
    np.testing.assert_allclose(found.scales[rounded] if granularity == "channel" else found.scales, expected, rtol=1e-6)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_every_effort_beyond_the_paper_pays(granularity: str) -> None:
    weight, moment = make_problem(3, 24, 200, 400)
    efforts = (PAPER, Effort(PAPER.damping, clips=8, sweeps=0), Effort(PAPER.damping, clips=8, sweeps=2))
    hessian = damped(moment, PAPER.damping)
    left = [errors(weight, quantize_calibrated(weight, 3, moment, granularity, effort=effort), hessian).sum() for effort in efforts]
    nearest = errors(weight, quantize(weight, 3, granularity), hessian).sum()
    assert nearest > left[0] > left[1] > left[2]


def test_what_is_left_makes_up_for_what_was_pruned() -> None:
    weight, moment = make_problem(5, 16, 60, 200)
    mask = np.abs(weight) > 0.5
    hessian = damped(moment, Effort().damping)
    together = quantize_calibrated(weight, 4, moment, mask=mask)
    afterwards = quantize_calibrated(weight, 4, moment)
    masked = Quantized(afterwards.codes * mask, afterwards.scales, 4, mask)
    assert errors(weight, together, hessian).sum() < 0.7 * errors(weight, masked, hessian).sum()
    assert together.mask is mask


def test_without_a_moment_only_the_scales_are_searched() -> None:
    weight = np.random.default_rng(0).standard_normal((50, 40), dtype=np.float32)
    found = quantize_calibrated(weight, 3, None)
    assert errors(weight, found, np.eye(40)).sum() < 0.8 * errors(weight, quantize(weight, 3), np.eye(40)).sum()
    np.testing.assert_array_equal(found.codes, np.clip(np.rint(weight / found.scales[:, None]), -3, 3))


def test_convolutions_keep_their_shape() -> None:
    weight, moment = make_problem(2, 6, 4 * 3 * 3, 100)
    flat = quantize_calibrated(weight, 4, moment)
    found = quantize_calibrated(weight.reshape(6, 4, 3, 3), 4, moment)
    np.testing.assert_array_equal(found.codes, flat.codes.reshape(6, 4, 3, 3))


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_zeros_and_silent_inputs_are_no_trouble(granularity: str) -> None:
    weight, moment = make_problem(1, 5, 12, 30)
    weight[2], moment[:, 4], moment[4] = 0, 0, 0
    found = quantize_calibrated(weight, 4, moment, granularity)
    assert not found.codes[2].any()
    assert granularity == "tensor" or found.scales[2] == 1
    nothing = quantize_calibrated(np.zeros((3, 4), np.float32), 4, np.zeros((4, 4), np.float32), granularity)
    assert not nothing.codes.any()
    assert (nothing.scales == 1).all()
    unheard = quantize_calibrated(weight, 4, np.zeros((12, 12), np.float32), granularity, effort=PAPER)
    np.testing.assert_array_equal(unheard.codes, quantize(weight, 4, granularity).codes)


def test_the_same_problem_gives_the_same_bytes_with_any_number_of_threads() -> None:
    weight, moment = make_problem(4, 40, 300, 600)
    first = quantize_calibrated(weight, 4, moment)
    with threadpool_limits(4):
        second = quantize_calibrated(weight.copy(), 4, moment.copy())
    assert first.codes.tobytes() == second.codes.tobytes()
    assert first.scales.tobytes() == second.scales.tobytes()


@pytest.mark.parametrize(
    ("moment", "rule"),
    [
        (np.eye(5), r"a moment must be \[6, 6\] for 6 weights a channel, got \[5, 5\]"),
        (np.full((6, 6), np.nan), "a moment must be finite"),
        (-np.eye(6), "its diagonal not negative"),
        (np.eye(6) - 2 * np.ones((6, 6)) + 2 * np.eye(6), "a moment must be positive definite"),
    ],
)
def test_moments_that_are_none_are_refused(moment: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        quantize_calibrated(np.ones((2, 6), np.float32), 4, moment)
