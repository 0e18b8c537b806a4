"""The decomposition: the nearest matrix of every rank, one half of it orthonormal, the same bits each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from paredown.compress.factorize import decompose, factorize

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def weight_of(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@given(shape=SHAPES, seed=st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_every_rank_is_the_nearest_matrix_and_the_rows_of_down_are_orthonormal(shape: tuple[int, int], seed: int) -> None:
    weight = weight_of(shape, seed)
    factors, values = decompose(weight), np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    for rank in range(1, min(shape) + 1):
        cut = factors.cut(rank)
        assert (cut.down.shape, cut.up.shape) == ((rank, shape[1]), (shape[0], rank))
        distance = np.linalg.norm(weight - cut.up.astype(np.float64) @ cut.down)
        assert distance == pytest.approx(np.linalg.norm(values[rank:]), abs=1e-5)  # Eckart and Young; numbers near 1 in float32
        assert np.allclose(cut.down @ cut.down.T, np.eye(rank), atol=1e-5)


def test_signs_are_fixed_by_the_largest_entry_of_every_row() -> None:
    factors = decompose(weight_of((12, 7)))
    rows = np.arange(7)
    assert (factors.down[rows, np.abs(factors.down).argmax(axis=1)] > 0).all()
    turned = decompose(-weight_of((12, 7)))
    assert np.array_equal(turned.down, factors.down)
    assert np.array_equal(turned.up, -factors.up)


def test_threads_change_no_bit() -> None:
    weight = weight_of((300, 200))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(decompose(weight))
    assert np.array_equal(found[0].down, found[1].down)
    assert np.array_equal(found[0].up, found[1].up)


def test_a_matrix_of_zeros_has_factors() -> None:
    factors = decompose(np.zeros((4, 3), np.float32)).cut(2)
    assert not (factors.up @ factors.down).any()
    assert np.isfinite(factors.down).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_none(value: float) -> None:
    with pytest.raises(ValueError, match=f"a weight to factorize must be finite, got {value}"):
        decompose(np.array([[1, 2], [value, 3]], np.float32))


def test_factors_stand_in_the_place_of_their_layer() -> None:
    parameters = {"a.weight": weight_of((3, 3)), "b.w_1.weight": weight_of((4, 3)), "b.w_1.bias": np.ones(4, np.float32)}
    asked: list[str] = []
    found = factorize(parameters, {"b.w_1": 2, "absent.w_2": 1}, lambda path, weight: asked.append(path) or decompose(weight))
    assert list(found) == ["a.weight", "b.w_1.down.weight", "b.w_1.up.weight", "b.w_1.bias"]
    assert asked == ["b.w_1"]
    assert list(parameters) == ["a.weight", "b.w_1.weight", "b.w_1.bias"]
