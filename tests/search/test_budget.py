"""Budgets: what is feasible, by how much the rest misses, and what the command line may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.search.budget import is_feasible, make_budget, parse_budget_option, violations
from paredown.search.outcome import Outcome
from tests.search.toy import outcome


@given(st.floats(1, 1e9), st.floats(1, 1e9))
def test_a_cost_is_feasible_exactly_up_to_its_limit(limit_bytes: float, size_bytes: float) -> None:
    budget = make_budget("size", round(limit_bytes))
    assert (budget.violation(size_bytes) <= 0) == (size_bytes <= round(limit_bytes))


def test_violations_are_relative_for_costs_and_per_ten_points_for_quality() -> None:
    assert make_budget("size", "10 MB").violation(15e6) == pytest.approx(0.5)
    assert make_budget("latency@cpu", "80 ms").violation(40.0) == pytest.approx(-0.5)
    assert make_budget("quality", "-1.0").violation(-3.0) == pytest.approx(0.2)


def test_quality_below_zero_is_a_loss_and_above_a_score() -> None:
    measured = outcome(quality=-2.0, latency_ms=50.0, size_bytes=1e6)  # chrF 53
    loss, score = make_budget("quality", "-1.0"), make_budget("quality", "45")
    assert (loss.measure, score.measure) == ("quality", "chrf")
    assert not is_feasible([loss], measured)
    assert is_feasible([score], measured)
    assert make_budget("quality", "0").measure == "quality"
    assert make_budget("quality", "30", "bleu").measure == "bleu"
    assert violations([loss, score], measured) == (pytest.approx(0.1), pytest.approx(-0.8))


def test_each_target_has_a_budget_of_its_own() -> None:
    limits = [make_budget(f"latency@{target}", "20 ms") for target in ("cpu", "cuda")]
    assert [budget.measure for budget in limits] == ["latency_ms@cpu", "latency_ms@cuda"]
    assert str(limits[1]) == "latency@cuda <= 20 ms"


def test_no_budgets_are_kept_by_everything() -> None:
    assert is_feasible([], outcome(-50.0, 1e3, 1e9))


def test_a_missing_measurement_is_not_taken_for_zero() -> None:
    with pytest.raises(ValueError, match="size_bytes is missing"):
        violations([make_budget("size", "1 MB")], Outcome(()))


def test_it_reads_as_people_write_it() -> None:
    assert str(make_budget("size", "12 MB")) == "size <= 12 MB"
    assert str(make_budget("latency@cpu", "80 ms")) == "latency@cpu <= 80 ms"
    assert str(make_budget("quality", "-1")) == "quality >= -1 chrF"


def test_command_line_option() -> None:
    assert parse_budget_option("size=12MB") == ("size", "12MB")
    for text in ("size", "=3", "size="):
        with pytest.raises(BadInput, match="NAME=LIMIT"):
            parse_budget_option(text)


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("sise", "1 MB", "got 'sise'; did you mean size"),
        ("latency", "1 ms", "did you mean latency@cpu"),
        ("latency@gpu", "1 ms", "got 'latency@gpu'; did you mean latency@cpu"),
        ("energy@cuda", "1 J", "got 'energy@cuda'; did you mean energy@cpu"),
        ("quality", "lots", "budget quality must be chrF points"),
        ("quality", "nan", "budget quality must be chrF points"),
        ("quality", "300", "budget quality must be chrF points"),
    ],
)
def test_bad_budgets(name: str, limit: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make_budget(name, limit)
