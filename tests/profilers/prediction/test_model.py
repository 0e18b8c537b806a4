"""Costs fitted to runs: known ones are found again, none is negative, what was not profiled is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.profilers.prediction.model import CostModel, fit_costs, left_out_errors

TERMS = ("calls", "macs", "bytes")
COSTS = {"calls": 0.01, "macs": 2e-8, "bytes": 5e-7}


def draw_runs(count: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [dict(zip(TERMS, (rng.uniform(1, 200), rng.uniform(1e5, 1e8), rng.uniform(1e3, 1e6)), strict=True)) for _ in range(count)]


def cost(run: dict[str, float]) -> float:
    return sum(COSTS[term] * amount for term, amount in run.items())


def test_known_costs_are_found_again() -> None:
    runs = draw_runs(30, 0)
    model = fit_costs(runs, [cost(run) for run in runs])
    assert dict(zip(model.terms, model.costs_ms, strict=True)) == pytest.approx(COSTS, rel=1e-6)
    for run in draw_runs(5, 1):
        assert model.predict(run) == pytest.approx(cost(run), rel=1e-6)


def test_known_costs_are_found_through_noise() -> None:
    runs, rng = draw_runs(300, 2), np.random.default_rng(3)
    model = fit_costs(runs, [cost(run) * rng.uniform(0.95, 1.05) for run in runs])
    errors = [model.predict(run) / cost(run) - 1 for run in draw_runs(50, 4)]
    assert np.abs(errors).max() < 0.02  # noise of 3 % over 100 runs a cost leaves 0.3 %, times what short runs magnify


def test_short_runs_count_as_much_as_long_ones() -> None:
    """Two costs cannot serve three points: the one 10,000 times as long must not have it all its way."""
    runs = [{"calls": 1.0}, {"calls": 1.0}, {"calls": 10_000.0}]
    model = fit_costs(runs, [1.0, 1.0, 20_000.0])
    relative = [model.predict(run) / time - 1 for run, time in zip(runs, (1.0, 1.0, 20_000.0), strict=True)]
    # Least squares of (c - 1) twice and (c / 2 - 1): c = 2.5 / 2.25.
    assert relative == pytest.approx([0.1111111, 0.1111111, -0.4444444])


def test_no_cost_is_negative_where_plain_least_squares_would_have_one() -> None:
    runs = [{"calls": 1.0, "macs": 1.0}, {"calls": 2.0, "macs": 1.0}, {"calls": 1.0, "macs": 2.0}]
    model = fit_costs(runs, [2.0, 1.0, 4.0])
    assert min(model.costs_ms) >= 0.0


@given(st.lists(st.floats(0.0, 10.0), min_size=3, max_size=3), st.integers(0, 2), st.floats(0.0, 5.0))
def test_more_of_anything_is_never_predicted_faster(amounts: list[float], term: int, more: float) -> None:
    runs = draw_runs(10, 5)
    model = fit_costs(runs, [cost(run) * (1 + 0.3 * (index % 3)) for index, run in enumerate(runs)])
    less = dict(zip(TERMS, amounts, strict=True))
    assert model.predict({**less, TERMS[term]: less[TERMS[term]] + more}) >= model.predict(less)


def test_what_was_not_profiled_is_refused_and_what_is_beyond_is_named() -> None:
    model = fit_costs([{"calls": 2.0}, {"calls": 4.0, "unused": 0.0}], [1.0, 2.0])
    assert model.terms == ("calls",)
    with pytest.raises(ValueError, match="of what was profiled, calls; got macs"):
        model.predict({"calls": 1.0, "macs": 3.0})
    assert model.predict({"calls": 1.0, "macs": 0.0}) == pytest.approx(0.5)
    assert model.outside({"calls": 4.5, "macs": 1.0}, 1.25) == ("macs",)
    assert model.outside({"calls": 5.5}, 1.25) == ("calls",)


def test_errors_on_left_out_groups_equal_fits_by_hand() -> None:
    runs, rng = draw_runs(12, 6), np.random.default_rng(7)
    times = [cost(run) * rng.uniform(0.9, 1.1) for run in runs]
    groups = [f"probe {index % 4}" for index in range(12)]
    errors = left_out_errors(runs, times, groups)
    for index in range(12):
        others = [other for other in range(12) if other % 4 != index % 4]
        model = fit_costs([runs[other] for other in others], [times[other] for other in others])
        assert errors[index] == pytest.approx(model.predict(runs[index]) / times[index] - 1)


def test_a_group_that_alone_has_a_term_cannot_be_predicted() -> None:
    errors = left_out_errors([{"calls": 1.0}, {"calls": 2.0}, {"calls": 1.0, "macs": 1.0}], [1.0, 2.0, 3.0], ["a", "b", "c"])
    assert np.isnan(errors).tolist() == [False, False, True]
    with pytest.raises(ValueError, match="two groups or more, got"):
        left_out_errors([{"calls": 1.0}], [1.0], ["a"])


def test_a_model_reads_back_as_it_was() -> None:
    model = fit_costs(draw_runs(5, 8), [1.0, 2.0, 3.0, 4.0, 5.0])
    assert CostModel.from_dict(model.to_dict()) == model
    with pytest.raises(ValueError, match="has the keys"):
        CostModel.from_dict({"terms": []})


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0, got 0"):
        fit_costs([{"calls": 1.0}], [0.0])
    with pytest.raises(ValueError, match="one latency each, got 2 runs and 1"):
        fit_costs([{"calls": 1.0}, {"calls": 2.0}], [1.0])
    with pytest.raises(ValueError, match="costs must be finite and at least 0"):
        CostModel(("calls",), (-1.0,), (1.0,))
    with pytest.raises(ValueError, match="named once each"):
        CostModel(("calls", "calls"), (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="must be as many"):
        CostModel(("calls",), (1.0, 2.0), (1.0,))
