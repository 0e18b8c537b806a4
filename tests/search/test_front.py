"""The front against brute force and against Optuna."""

import json

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.search.budget import make_budget
from paredown.search.front import make_front, non_dominated
from paredown.search.quiet import quiet_optuna
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
