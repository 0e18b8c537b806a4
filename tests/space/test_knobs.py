"""Knobs: ranges, grids, and what they refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.space.knobs import FloatKnob, IntKnob


@given(st.integers(0, 18), st.floats(-1e-9, 1e-9))
def test_values_beside_the_grid_move_onto_it(step: int, error: float) -> None:
    knob = FloatKnob("sparsity.ctc", 0.0, 0.9, 0.05)
    value = min(max(step * 0.05 + error, 0.0), 0.9)
    assert knob.checked(value) == round(step * 0.05, 10)


def test_a_value_without_grid_stays_as_it_is() -> None:
    assert FloatKnob("bits.average", 2.0, 8.0).checked(3.3333333333333335) == 3.3333333333333335


@pytest.mark.parametrize("value", [1.99, 8.01, float("nan")])
def test_a_value_out_of_range_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=rf"bits.average must lie in \[2, 8\], got {value}"):
        FloatKnob("bits.average", 2.0, 8.0).checked(value)


@pytest.mark.parametrize("value", [1, 7, 3.5])
def test_a_whole_number_out_of_range_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=r"layers.decoder must be a whole number in \[2, 6\]"):
        IntKnob("layers.decoder", 2, 6).checked(value)


def test_a_whole_number_may_come_as_a_float() -> None:
    value = IntKnob("layers.decoder", 2, 6).checked(4.0)
    assert (value, type(value)) == (4, int)


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="from low to high"):
        FloatKnob("bits.average", 3.0, 2.0)
    with pytest.raises(ValueError, match="must be positive"):
        FloatKnob("sparsity.ctc", 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="from low to high"):
        IntKnob("layers.decoder", 3, 2)
