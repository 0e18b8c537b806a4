"""Scales and zero points of static ranges: what is no range is refused."""

import numpy as np
import pytest

from paredown.runtime.ranges import to_steps


def test_zero_is_rounded_without_an_error_and_the_ends_nearly_so() -> None:
    ranges = np.array([[-1.5, 1.0], [0.0, 6.0], [-2.0, 0.0], [-1e-30, 1e30]], np.float32)
    scales, zeros = to_steps(ranges)
    assert (scales.dtype, zeros.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(scales, (ranges[:, 1] - ranges[:, 0]) / 255, rtol=1e-6)
    assert zeros.tolist() == [153, 0, 255, 0]
    for end, code in zip(ranges.T, (0, 255), strict=True):
        np.testing.assert_allclose(scales * (code - zeros.astype(float)), end, atol=0.51 * scales.max(), rtol=0.01)


def test_a_layer_that_read_only_zeros_has_a_scale() -> None:
    scales, zeros = to_steps(np.zeros((1, 2), np.float32))
    assert (scales[0], zeros[0]) == (1, 0)


@pytest.mark.parametrize("pair", [(0.1, 1.0), (-1.0, -0.1), (1.0, -1.0), (np.nan, 1.0), (-np.inf, 1.0), (0.0, np.nan)])
def test_what_is_no_range_is_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"a range of activations must be finite and hold 0, got .* in row 1"):
        to_steps(np.array([(-1.0, 1.0), pair], np.float32))


def test_so_are_steps_that_no_float_holds() -> None:
    largest = np.finfo(np.float32).max
    with pytest.raises(ValueError, match="narrower than the largest float32"), np.errstate(over="ignore"):
        to_steps(np.array([(-largest, largest)], np.float32))


def test_and_so_is_what_is_no_list_of_pairs() -> None:
    with pytest.raises(ValueError, match=r"must be pairs, got an array \[3\]"):
        to_steps(np.zeros(3, np.float32))
