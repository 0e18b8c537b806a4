"""Several studies on one front: two laptops, or two spaces, of one model and one search split.

Quality and bytes mean the same everywhere. Latency and energy of two machines share no scale, so where the targets differ each is
divided by what the uncompressed model took in the same study. That tells how much was won on each machine, not which machine is faster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.search.budget import Budget, is_feasible
from paredown.search.front import FrontPoint, check_targets, rank_outcomes
from paredown.search.hypervolume import UNCOMPRESSED
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.storage import describe_difference
from paredown.search.trial import Trial

TARGET = "target's "  # what facts of the fingerprint are named by in a study's identity
_MUST_AGREE = ("model", "search split")
_MACHINES = ("latency_ms@", "energy_mj@")  # the start of objectives that depend on the target


@dataclass(frozen=True)
class Entry:
    """One study. `name`: how its trials are labelled; `identity`: as `Study.open` recorded it; `metric`: of its quality."""

    name: str
    trials: tuple[Trial, ...]
    objectives: tuple[Objective, ...]
    budgets: tuple[Budget, ...]
    identity: Mapping[str, Any]
    metric: str


@dataclass(frozen=True)
class JointPoint:
    """A trial of one of the studies. `indistinguishable`: (study, trial) of the others, see `front.find_indistinguishable`."""

    study: str
    point: FrontPoint
    indistinguishable: tuple[tuple[str, int], ...]

    def to_dict(self, objectives: Sequence[Objective]) -> dict[str, Any]:
        """As a point of one study, with the study's name before it and in front of every other trial's number."""
        others = [{"study": study, "trial": trial} for study, trial in self.indistinguishable]
        return {"study": self.study, **self.point.to_dict(objectives), "indistinguishable": others}


@dataclass(frozen=True)
class JointFront:
    """`points`: all complete trials of all studies, in their order. `notes`: what a reader must know to compare them, a line each."""

    objectives: tuple[Objective, ...]
    points: tuple[JointPoint, ...]
    notes: tuple[str, ...]


def join(entries: Sequence[Entry]) -> JointFront:
    """The trials of several studies on one front, in the objectives that all of them have.

    Raises BadInput where names are not distinct, model, search split or metric differ (naming the difference), nothing but quality is
    common, or a ratio needs an uncompressed model that a study has not measured yet.
    """
    _check_comparable(entries)
    common = [objective for objective in entries[0].objectives if all(objective in entry.objectives for entry in entries)]
    notes = _left_out(entries, common)
    difference = _target_difference(entries)
    if len(common) < 2:
        raise BadInput(f"studies on one front must share quality and a cost, {' and '.join(entry.name for entry in entries)} do not")
    for entry in entries:
        check_targets(entry.trials, common)
    objectives = tuple(_relative(objective) if difference else objective for objective in common)
    if difference and tuple(common) != objectives:
        names = " and ".join(objective.name for objective in objectives if objective not in common)
        notes.append(f"measured on different targets ({difference}): {names} is over the uncompressed model of the same study")
    owned = [(entry, trial) for entry in entries for trial in _prepared(entry, [] if not difference else common)]
    places = rank_outcomes([_outcome(trial) for _, trial in owned], objectives)
    names_of = [(entry.name, trial.number) for entry, trial in owned]
    points = tuple(
        JointPoint(
            entry.name,
            FrontPoint(trial, each.values, is_feasible(entry.budgets, _outcome(trial)), each.on_front),
            tuple(names_of[row] for row in each.indistinguishable),
        )
        for (entry, trial), each in zip(owned, places, strict=True)
    )
    return JointFront(objectives, points, tuple(notes))


def _check_comparable(entries: Sequence[Entry]) -> None:
    first, *others = entries
    if len({entry.name for entry in entries}) != len(entries):
        raise BadInput(f"studies on one front must have distinct names, got {', '.join(entry.name for entry in entries)}")
    for other in others:
        mine, theirs = (
            {key: entry.identity.get(key) for key in _MUST_AGREE} | {"quality metric": entry.metric} for entry in (first, other)
        )
        difference = describe_difference(mine, theirs, there=f"in {first.name}", here=f"in {other.name}")
        if difference is not None:
            raise BadInput(f"studies on one front must be of one model, search split and quality metric: {difference}")


def _target_difference(entries: Sequence[Entry]) -> str | None:
    """The first fact in which two targets differ, None where all studies were measured on one; figures of two sources differ too."""
    first, *others = entries
    for other in others:
        mine, theirs = (
            {name.removeprefix(TARGET): fact for name, fact in entry.identity.items() if name.startswith(TARGET) or name == "energy source"}
            for entry in (first, other)
        )
        difference = describe_difference(mine, theirs, there=f"in {first.name}", here=f"in {other.name}")
        if difference is not None:
            return difference
    return None


def _left_out(entries: Sequence[Entry], common: Sequence[Objective]) -> list[str]:
    """A note on objectives that only some of the studies have, if there are any."""
    names = dict.fromkeys(objective.name for entry in entries for objective in entry.objectives if objective not in common)
    return [f"left out, because not every study has it: {', '.join(names)}"] if names else []


def _relative(objective: Objective) -> Objective:
    """The objective that compares two machines: a cost of the target over the uncompressed model's, any other as it is."""
    if not objective.name.startswith(_MACHINES):
        return objective
    kind, _, target = objective.name.partition("@")
    return Objective(f"{kind.rpartition('_')[0]}_ratio@{target}", objective.direction, "x uncompressed", objective.scale)


def _prepared(entry: Entry, related: Sequence[Objective]) -> list[Trial]:
    """The complete trials of a study, with the ratios to its uncompressed model beside what was measured."""
    complete = [trial for trial in entry.trials if trial.outcome is not None]
    pairs = [(objective.name, _relative(objective).name) for objective in related if _relative(objective) != objective]
    if not pairs:
        return complete
    reference = next((trial for trial in complete if trial.label == UNCOMPRESSED), None)
    if reference is None:
        raise BadInput(f"studies of two targets are compared by ratios to the uncompressed model, {entry.name} has not measured it yet")
    own = _outcome(reference)
    return [replace(trial, outcome=_with_ratios(_outcome(trial), own, pairs)) for trial in complete]


def _with_ratios(outcome: Outcome, reference: Outcome, pairs: Sequence[tuple[str, str]]) -> Outcome:
    """`pairs`: names of a measurement and of its ratio. The interval is the trial's alone: the reference is the same for a whole study."""
    ratios = []
    for name, ratio in pairs:
        measured, base = outcome.measurement_of[name], reference.value(name)
        around = None if measured.ci95 is None else (measured.ci95[0] / base, measured.ci95[1] / base)
        value = Measurement(measured.value / base, "x uncompressed", around, measured.samples, measured.provenance)
        ratios.append((ratio, value))
    return Outcome((*outcome.measurements, *ratios))


def _outcome(trial: Trial) -> Outcome:
    assert trial.outcome is not None  # only complete trials come here
    return trial.outcome
