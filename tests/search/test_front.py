"""The front against brute force and against Optuna."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.errors import BadInput
from paredown.search.budget import make_budget
from paredown.search.front import make_front, non_dominated
from paredown.search.outcome import Outcome
from paredown.search.quiet import quiet_optuna
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration
from tests.search.toy import toy_spec, trial

OBJECTIVES = toy_spec().objective_list
# Few distinct values, so that ties and equal points occur.
point = st.tuples(st.integers(-3, 0), st.integers(1, 4), st.integers(1, 4))
points = st.lists(point, min_size=1, max_size=12)


def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Quality is maximized, latency and size are minimized."""
    turned = [(-row[0], row[1], row[2]) for row in (one, other)]
    return all(a <= b for a, b in zip(*turned, strict=True)) and turned[0] != turned[1]


@given(points)
def test_equals_brute_force(rows: list[tuple[int, int, int]]) -> None:
    trials = [trial(number, *map(float, row)) for number, row in enumerate(rows)]
    found = [entry.on_front for entry in make_front(trials, OBJECTIVES)]
    assert found == [not any(dominates(other, row) for other in rows) for row in rows]


@settings(max_examples=25)
@given(points)
def test_equals_optuna(rows: list[tuple[int, int, int]]) -> None:
    with quiet_optuna():
        study = optuna.create_study(directions=[objective.direction for objective in OBJECTIVES])
        for row in rows:
            study.add_trial(optuna.trial.create_trial(values=[float(value) for value in row]))
        best = {entry.number for entry in study.best_trials}
    front = make_front([trial(number, *map(float, row)) for number, row in enumerate(rows)], OBJECTIVES)
    assert {entry.trial.number for entry in front if entry.on_front} == best


def test_feasibility_does_not_change_the_front() -> None:
    trials = [trial(0, 0.0, 60.0, 20e6), trial(1, -5.0, 30.0, 5e6), trial(2, -6.0, 40.0, 8e6)]
    front = make_front(trials, OBJECTIVES, [make_budget("size", "10 MB")])
    assert [(entry.feasible, entry.on_front) for entry in front] == [(False, True), (True, True), (True, False)]


def test_trials_of_two_targets_are_not_ranked() -> None:
    one, other, third = (trial(number, 0.0, 60.0 + number, 20e6) for number in range(3))
    on_battery = with_latency(other, target="b" * 64)
    with pytest.raises(BadInput, match=r"latency_ms@cpu is compared on one target .*trial 0 measured on aaaa.*, trial 1 measured on bbbb"):
        make_front([with_latency(one, target="a" * 64), on_battery, third], OBJECTIVES)
    with pytest.raises(BadInput, match=r"trial 0 measured .*, trial 1 estimated"):
        make_front([with_latency(one, target="a" * 64), with_latency(other, target="a" * 64, provenance="estimated")], OBJECTIVES)
    assert len(make_front([with_latency(one, target="b" * 64), on_battery], OBJECTIVES)) == 2


def with_latency(known: Trial, **changes: Any) -> Trial:
    """The same trial, its latency changed."""
    assert known.outcome is not None
    pairs = ((name, replace(figure, **changes) if name == "latency_ms@cpu" else figure) for name, figure in known.outcome.measurements)
    return replace(known, outcome=Outcome(tuple(pairs)))


def test_trials_without_figures_are_left_out() -> None:
    trials = [trial(0, 0.0, 1.0, 1.0, "rejected"), trial(1, 0.0, 1.0, 1.0, "interrupted"), trial(2, 0.0, 1.0, 1.0)]
    assert [entry.trial.number for entry in make_front(trials, OBJECTIVES)] == [2]
    assert make_front([], OBJECTIVES) == ()


def test_json_has_the_stable_keys() -> None:
    (entry,) = make_front([trial(4, -1.0, 50.0, 3e6)], OBJECTIVES)
    value = entry.to_dict(OBJECTIVES)
    assert list(value) == ["trial", "values", "feasible", "on_front", "configuration"]
    assert Configuration.from_json(json.dumps(value["configuration"])) == entry.trial.configuration
    assert value["values"] == {"quality": -1.0, "latency_ms@cpu": 50.0, "size_bytes": 3e6}


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[points, objectives\]"):
        non_dominated(np.zeros(3))


def test_json_names_estimates() -> None:
    (entry,) = make_front([with_latency(trial(4, -1.0, 50.0, 3e6), provenance="estimated")], OBJECTIVES)
    assert entry.to_dict(OBJECTIVES)["estimated"] == ["latency_ms@cpu"]
