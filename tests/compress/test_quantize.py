"""Quantization against its definition, written out one weight at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from paredown.compress.quantize import quantize

WEIGHTS = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-10, 10, width=32))


def nearest_in_table(weight: float, step: float, bits: int) -> float:
    """Distance from a weight to the nearest entry of Eq. 6's table, step * {0, ±1, …, ±(2^(bits-1) - 1)}."""
    top = 2 ** (bits - 1) - 1
    return min(abs(weight - step * code) for code in range(-top, top + 1))


@given(WEIGHTS, st.integers(2, 8), st.sampled_from(["channel", "tensor"]))
@settings(deadline=None, max_examples=100)
def test_every_weight_goes_to_the_nearest_entry_of_the_table(weight: np.ndarray, bits: int, granularity: str) -> None:
    found = quantize(weight, bits, granularity)
    assert found.scales.shape == ((len(weight),) if granularity == "channel" else (1,))
    assert found.codes.dtype == np.int8
    for index, value in np.ndenumerate(weight):
        reach = np.abs(weight[index[0]] if granularity == "channel" else weight).max()
        step = float(found.scales[index[0] if granularity == "channel" else 0])
        assert step == (
            1.0 if step == 1.0 and reach < 1e-30 else pytest.approx(reach / (2 ** (bits - 1) - 1), rel=1e-6)
        )  # one fp32 rounding
        error = abs(float(found.dequantize()[index]) - float(value))
        # codes are found in float32: half a step is decided to within its rounding
        assert error <= nearest_in_table(float(value), step, bits) + 1e-6 * max(reach, 1e-30)


def test_rounds_half_to_even_and_reaches_the_largest_weight() -> None:
    found = quantize(np.array([[-3.0, -2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5]], np.float32), 3)
    assert found.codes.tolist() == [[-3, -2, -2, 0, 0, 0, 2, 2]]
    assert found.scales.tolist() == [1.0]


def test_a_channel_of_zeros_has_scale_one() -> None:
    found = quantize(np.array([[0.0, 0.0], [4.0, -2.0]], np.float32), 2)
    assert found.scales.tolist() == [1.0, 4.0]
    assert found.codes.tolist() == [[0, 0], [1, 0]]  # -0.5 rounds to even


@pytest.mark.parametrize("bits", range(2, 9))
def test_denormal_weights_do_not_wrap_around(bits: int) -> None:
    weight = np.array([[1e-42, -1e-42, 1e-44, 0.0]], np.float32)
    found = quantize(weight, bits)
    assert np.abs(found.codes.astype(int)).max() <= 2 ** (bits - 1) - 1
    assert (np.sign(found.codes) * np.sign(weight) >= 0).all()


def test_convolutions_and_embeddings_scale_their_first_axis() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 3, 5), dtype=np.float32)
    found = quantize(weight, 8)
    assert found.scales.shape == (4,)
    assert np.abs(found.dequantize() - weight).max() <= 0.5 * found.scales.max() * 1.001  # half a step, and its rounding


def test_pruned_weights_stay_zero_and_do_not_stretch_the_scale() -> None:
    weight = np.array([[100.0, 1.0, -0.4], [5.0, 6.0, 7.0]], np.float32)
    mask = np.array([[False, True, True], [False, False, False]])
    found = quantize(weight, 2, mask=mask)
    assert found.scales.tolist() == [1.0, 1.0]
    assert found.codes.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert found.mask is mask


def test_what_cannot_be_quantized_is_named() -> None:
    with pytest.raises(ValueError, match=r"bit-width must lie in \[2, 8\], got 1"):
        quantize(np.ones((2, 2), np.float32), 1)
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="must be finite"):
            quantize(np.array([[1.0, value]], np.float32), 4)


def test_given_scales_are_taken_and_clip() -> None:
    weight = np.array([[-3.0, -0.5, 0.5, 1.5], [0.0, 0.0, 9.0, 1.0]], np.float32)
    found = quantize(weight, 3, scales=np.array([0.5, 2.0], np.float32))
    assert found.codes.tolist() == [[-3, -1, 1, 3], [0, 0, 3, 0]]
    assert found.scales.tolist() == [0.5, 2.0]
    assert quantize(weight, 3, "tensor", scales=np.array([1.0], np.float32)).codes.tolist() == [[-3, 0, 0, 2], [0, 0, 3, 1]]
    mask = weight != 9.0
    assert quantize(weight, 3, mask=mask, scales=np.array([0.5, 2.0], np.float32)).codes[1].tolist() == [0, 0, 0, 0]


@given(WEIGHTS, st.integers(2, 8), st.sampled_from(["channel", "tensor"]))
@settings(deadline=None, max_examples=50)
def test_its_own_scales_give_the_same_again(weight: np.ndarray, bits: int, granularity: str) -> None:
    found = quantize(weight, bits, granularity)
    again = quantize(weight, bits, granularity, scales=found.scales)
    assert np.array_equal(found.codes, again.codes)
    assert np.array_equal(found.scales, again.scales)


@pytest.mark.parametrize(
    ("scales", "rule"),
    [([1.0], r"scales must be \[2\], got \[1\]"), ([1.0, 0.0], "above 0, got 0"), ([1.0, np.inf], "must be finite")],
)
def test_scales_that_do_not_fit_are_refused(scales: list[float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        quantize(np.ones((2, 3), np.float32), 4, scales=np.array(scales, np.float32))
