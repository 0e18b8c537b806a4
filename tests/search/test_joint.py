"""Several studies on one front: against one front of all, ratios by hand, and what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.search.budget import make_budget
from paredown.search.front import make_front
from paredown.search.joint import TARGET, Entry, join
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial
from tests.search.toy import UNCOMPRESSED, toy_spec, trial

OBJECTIVES = toy_spec().objective_list
SAME = {"model": "abc", "search split": "def", f"{TARGET}cpu": "fast", f"{TARGET}threads": 1}
SLOW = SAME | {f"{TARGET}cpu": "slow"}


def entry(name: str, trials: list[Trial], identity: Mapping[str, Any] = SAME, **changes: Any) -> Entry:
    return replace(Entry(name, tuple(trials), OBJECTIVES, (), identity, "chrf"), **changes)


def plain(latency_ms: float, size_bytes: float = 16e6) -> Trial:
    return replace(trial(0, 0.0, latency_ms, size_bytes), candidate=UNCOMPRESSED)


def test_of_one_target_it_is_the_front_of_all_trials() -> None:
    ours = [plain(100.0), trial(1, -1.0, 60.0, 4e6), trial(2, -5.0, 80.0, 3e6)]
    theirs = [plain(101.0), trial(1, -1.0, 50.0, 4e6), trial(2, -9.0, 20.0, 9e6), trial(3, 0.0, 1.0, 1.0, "stopped")]
    front = join([entry("a", ours), entry("b", theirs)])
    everything = make_front([*ours, *theirs], OBJECTIVES)
    assert [each.point.on_front for each in front.points] == [each.on_front for each in everything]
    assert [each.point.values for each in front.points] == [each.values for each in everything]
    assert [(each.study, each.point.trial.number) for each in front.points] == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert (front.objectives, front.notes) == (OBJECTIVES, ())


def test_of_two_targets_latency_is_over_each_ones_own_uncompressed_model() -> None:
    """Twice as fast at half the speed of the machine is a better ratio than 1.5 times as fast on a fast one."""
    fast = [plain(100.0), trial(1, -1.0, 75.0, 4e6)]
    slow = [plain(400.0), trial(1, -1.0, 200.0, 4e6)]
    front = join([entry("desk", fast), entry("lap", slow, SLOW)])
    assert [objective.name for objective in front.objectives] == ["quality", "latency_ratio@cpu", "size_bytes"]
    assert [each.point.values for each in front.points] == [(0.0, 1.0, 16e6), (-1.0, 0.75, 4e6), (0.0, 1.0, 16e6), (-1.0, 0.5, 4e6)]
    assert [each.point.on_front for each in front.points] == [True, False, True, True]
    (note,) = front.notes
    assert note == (
        'measured on different targets (cpu is "fast" in desk and "slow" in lap): latency_ratio@cpu is over the uncompressed model of the '
        "same study"
    )
    value = front.points[3].to_dict(front.objectives)
    assert (value["study"], value["trial"]) == ("lap", 1)
    assert value["values"] == {"quality": -1.0, "latency_ratio@cpu": 0.5, "size_bytes": 4e6}
    # Both uncompressed models are one point, whichever machine it stood on; 1 chrF more is not shown to be more either.
    assert front.points[0].to_dict(front.objectives)["indistinguishable"] == [{"study": "lap", "trial": 0}, {"study": "lap", "trial": 1}]


def test_intervals_and_estimates_go_with_the_ratio() -> None:
    def with_interval(known: Trial, provenance: str) -> Trial:
        assert known.outcome is not None
        figure = replace(known.outcome.measurement_of["latency_ms@cpu"], ci95=(180.0, 220.0), provenance=provenance)  # type: ignore[arg-type]
        return replace(known, outcome=Outcome(tuple((known.outcome.measurement_of | {"latency_ms@cpu": figure}).items())))

    slow = [plain(400.0), with_interval(trial(1, -1.0, 200.0, 4e6), "estimated")]
    point = join([entry("desk", [plain(100.0)]), entry("lap", slow, SLOW)]).points[2].point
    assert point.trial.outcome is not None
    ratio = point.trial.outcome.measurement_of["latency_ratio@cpu"]
    assert (ratio.ci95, ratio.provenance, ratio.unit) == ((0.45, 0.55), "estimated", "x uncompressed")


def test_budgets_are_those_of_each_study_as_measured_there() -> None:
    budget = make_budget("latency@cpu", "90 ms")
    studies = [entry("a", [plain(100.0), trial(1, 0.0, 75.0, 4e6)]), entry("b", [plain(400.0), trial(1, 0.0, 200.0, 4e6)], SLOW)]
    front = join([replace(study, budgets=(budget,)) for study in studies])
    assert [each.point.feasible for each in front.points] == [False, True, False, False]


def test_objectives_that_not_every_study_has_are_left_out() -> None:
    energy = Objective("energy_mj@cpu", "minimize", "mJ", "log")
    more = entry("b", [plain(100.0)], objectives=(*OBJECTIVES, energy))
    front = join([entry("a", [plain(100.0)]), more])
    assert front.objectives == OBJECTIVES
    assert front.notes == ("left out, because not every study has it: energy_mj@cpu",)
    with pytest.raises(BadInput, match="must share quality and a cost, a and c do not"):
        join([entry("a", [plain(100.0)]), entry("c", [], objectives=(OBJECTIVES[0], energy))])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (entry("b", [], SAME | {"model": "xyz"}), 'model is "abc" in a and "xyz" in b'),
        (entry("b", [], SAME | {"search split": "xyz"}), 'search split is "def" in a and "xyz" in b'),
        (entry("b", [], metric="wer"), 'quality metric is "chrf" in a and "wer" in b'),
        (entry("a", []), "must have distinct names, got a, a"),
        (entry("b", [trial(1, 0.0, 1.0, 1.0)], SLOW), "b has not measured it yet"),
    ],
)
def test_what_cannot_be_compared_is_refused(other: Entry, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        join([entry("a", [plain(100.0)]), other])
    assert message in str(caught.value)


def test_a_study_of_two_targets_is_refused_as_it_is_alone() -> None:
    def on(known: Trial, target: str) -> Trial:
        assert known.outcome is not None
        measured = known.outcome.measurement_of
        figure: Measurement = replace(measured["latency_ms@cpu"], target=target)
        return replace(known, outcome=Outcome(tuple((measured | {"latency_ms@cpu": figure}).items())))

    mixed = [on(plain(100.0), "a" * 64), on(trial(1, 0.0, 50.0, 1e6), "b" * 64)]
    with pytest.raises(BadInput, match="is compared on one target"):
        join([entry("a", [plain(100.0)]), entry("b", mixed, SLOW)])
