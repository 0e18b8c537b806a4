"""Draws and coins, and their sums."""

import numpy as np
import pytest

from paredown.quality.resampling import coins, drawn, weighted_sums


def test_every_draw_has_as_many_utterances_as_the_corpus() -> None:
    counts = drawn(30, 0, 2500)
    assert counts.shape == (2500, 30)
    assert (counts.sum(axis=1) == 30).all()
    # each utterance is drawn once on average; its count is Poisson-like with variance 1 - 1/30
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.1)
    assert counts.var() == pytest.approx(29 / 30, abs=0.03)


def test_coins_are_fair_and_independent() -> None:
    signs = coins(40, 0, 4000)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert signs.mean(axis=0) == pytest.approx(np.zeros(40), abs=0.07)  # 4 standard errors
    products = signs.T @ signs / len(signs) - np.eye(40)
    assert np.abs(products).max() < 0.08


def test_equal_seeds_give_equal_draws_and_others_do_not() -> None:
    assert (drawn(20, 3, 50) == drawn(20, 3, 50)).all()
    assert (drawn(20, 3, 50) != drawn(20, 4, 50)).any()
    assert (coins(20, 3, 50) != coins(20, 4, 50)).any()


@pytest.mark.parametrize("size", [7, 2**22])
def test_sums_are_exact_where_single_precision_would_not_be(size: int) -> None:
    generator = np.random.default_rng(0)
    statistics = generator.integers(-size, size, (50, 3))
    weights = drawn(50, 0, 20)
    assert (weighted_sums(weights, statistics) == np.rint(weights).astype(np.int64) @ statistics).all()
