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
from paredown.profilers.measurement import Measurement
from paredown.search.budget import make_budget
from paredown.search.front import find_indistinguishable, make_front, non_dominated
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.pick import pick_trial
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


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.tuples(*[st.integers(0, 2)] * width), max_size=40)))
def test_any_number_of_objectives_equals_brute_force(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 3)
    expected = [not ((array <= row).all(axis=1) & (array < row).any(axis=1)).any() for row in array]
    assert non_dominated(array).tolist() == expected


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
    assert list(value) == ["trial", "values", "feasible", "on_front", "indistinguishable", "configuration"]
    assert Configuration.from_json(json.dumps(value["configuration"])) == entry.trial.configuration
    assert value["values"] == {"quality": -1.0, "latency_ms@cpu": 50.0, "size_bytes": 3e6}


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[points, objectives\]"):
        non_dominated(np.zeros(3))


def test_json_names_estimates() -> None:
    (entry,) = make_front([with_latency(trial(4, -1.0, 50.0, 3e6), provenance="estimated")], OBJECTIVES)
    assert entry.to_dict(OBJECTIVES)["estimated"] == ["latency_ms@cpu"]


def figures(quality: float, latency_ms: float, size_bytes: float, quality_by: float = 1.0, latency_by: float = 5.0) -> Outcome:
    """Quality and latency with intervals of a half width, bytes exact."""
    return Outcome(
        (
            ("quality", Measurement(quality, "chrF", (quality - quality_by, quality + quality_by))),
            ("latency_ms@cpu", Measurement(latency_ms, "ms", (latency_ms - latency_by, latency_ms + latency_by))),
            ("size_bytes", Measurement(size_bytes, "bytes")),
        )
    )


@pytest.mark.parametrize(
    ("other", "marks"),
    [
        (figures(-1.5, 55.0, 8e6), [(1,), (0,)]),  # better by less than the intervals, as many bytes: nobody knows
        (figures(-1.5, 55.0, 7e6), [(1,), ()]),  # the same, and surely smaller
        (figures(-3.0, 55.0, 8e6), [(), (0,)]),  # quality surely worse, latency perhaps better
        (figures(-3.0, 40.0, 8e6), [(), ()]),  # each surely better in something
        (figures(0.0, 60.0, 8e6), [(1,), (0,)]),  # the same figures
        (figures(-2.0, 55.0, 8e6), [(1,), (0,)]),  # the ends of the intervals meet
    ],
)
def test_what_measurements_do_not_tell_apart(other: Outcome, marks: list[tuple[int, ...]]) -> None:
    assert find_indistinguishable([figures(0.0, 60.0, 8e6), other], OBJECTIVES) == marks


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3, *[st.integers(0, 2)] * 2), max_size=8))
def test_a_mark_says_that_nothing_is_shown_to_be_better(rows: list[tuple[int, ...]]) -> None:
    """Against the words of the definition, one pair and one objective at a time."""
    outcomes = [figures(float(-q), 10.0 + latency, 1.0 + size, float(dq), float(dl)) for q, latency, size, dq, dl in rows]
    for one, marks in enumerate(find_indistinguishable(outcomes, OBJECTIVES)):
        for other in range(len(rows)):
            (q, latency, size, dq, dl), (q2, latency2, size2, dq2, dl2) = rows[one], rows[other]
            shown = q + dq < q2 - dq2 or latency + dl < latency2 - dl2 or size < size2
            assert (other in marks) == (other != one and not shown)


def test_only_the_front_is_marked_and_json_says_so() -> None:
    outcomes = [figures(0.0, 60.0, 8e6), figures(-0.5, 59.0, 8e6), figures(-0.6, 61.0, 8e6)]
    trials = [replace(trial(number, 0.0, 1.0, 1.0), outcome=each) for number, each in zip((4, 7, 9), outcomes, strict=True)]
    front = make_front(trials, OBJECTIVES)
    assert [entry.to_dict(OBJECTIVES)["indistinguishable"] for entry in front] == [[7], [4], []]


def test_an_interval_beside_its_value_is_stretched_to_hold_it() -> None:
    """The bootstrap interval of a median may lie beside it: 60 with [61, 62] still meets 60 with [58, 60]."""
    one, other = (
        Outcome((("quality", Measurement(0.0, "chrF")), ("latency_ms@cpu", Measurement(value, "ms", around))))
        for value, around in ((60.0, (61.0, 62.0)), (60.0, (58.0, 60.0)))
    )
    assert find_indistinguishable([one, other], OBJECTIVES[:2]) == [(1,), (0,)]


def test_several_latency_targets_are_several_objectives() -> None:
    cuda = Objective("latency_ms@cuda", "minimize", "ms", "log")
    trials = []
    for number, (cpu_ms, cuda_ms) in enumerate([(50.0, 9.0), (60.0, 4.0), (70.0, 9.5)]):
        known = trial(number, 0.0, cpu_ms, 1e6)
        assert known.outcome is not None
        trials.append(replace(known, outcome=Outcome((*known.outcome.measurements, (cuda.name, Measurement(cuda_ms, "ms"))))))
    assert [entry.on_front for entry in make_front(trials, (*OBJECTIVES, cuda))] == [True, True, False]
    assert pick_trial("fastest", trials, (*OBJECTIVES, cuda)).number == 0
    assert pick_trial("fastest", trials, (OBJECTIVES[0], cuda, *OBJECTIVES[1:])).number == 1
