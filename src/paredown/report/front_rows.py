"""The front of a study, or of several together, read from their folders: what its table, its JSON, its CSV and its figure are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.report.front_caption import count_stopped
from paredown.search.budget import Budget
from paredown.search.confirmation import Confirmation, read_confirmation
from paredown.search.final import Final, FinalPoint, read_final
from paredown.search.front import FrontPoint, make_front
from paredown.search.joint import Entry, JointFront, join
from paredown.search.misses import Miss, least_violating, misses
from paredown.search.objective import Objective
from paredown.search.spec import StudySpec
from paredown.search.study import read_identity
from paredown.search.study_folder import budgets_of, read_study
from paredown.search.trial import Trial


@dataclass(frozen=True)
class FrontEntry:
    """A complete trial and where it stands.

    `study`: its study's name where there are several, else None; `missed`: the budgets that it misses; `alike`: names of the trials that
    it is not shown to beat in anything; `figures`: its JSON form; `confirmed`: whether it passed on *test*, None where it was not tested;
    `final`: what `paredown finish` found of it; `near`: its place among the trials that come nearest to budgets which nothing keeps.
    """

    point: FrontPoint
    study: str | None
    missed: tuple[Miss, ...]
    alike: tuple[str, ...]
    figures: Mapping[str, Any]
    confirmed: bool | None = None
    final: FinalPoint | None = None
    near: int | None = None

    @property
    def trial(self) -> Trial:
        """Its trial."""
        return self.point.trial

    @property
    def name(self) -> str:
        """The trial's number, behind the study's name where there are several."""
        return str(self.trial.number) if self.study is None else f"{self.study} {self.trial.number}"

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form, a row of `front --json`."""
        return dict(self.figures)


@dataclass(frozen=True)
class StudyFront:
    """All complete trials of one study. `record`, `final`: what `confirm` and `finish` found, None where they did not run."""

    spec: StudySpec
    trials: tuple[Trial, ...]
    budgets: tuple[Budget, ...]
    entries: tuple[FrontEntry, ...]
    record: Confirmation | None
    final: Final | None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Quality first, then the costs."""
        return tuple(self.spec.objective_list)

    @property
    def nothing_kept(self) -> bool:
        """Whether there are trials to show in place of those that keep the budgets."""
        return any(entry.near is not None for entry in self.entries)


@dataclass(frozen=True)
class SeveralFront:
    """All complete trials of several studies; `sources` are the studies, `joint` says what can be compared."""

    sources: tuple[Entry, ...]
    joint: JointFront
    entries: tuple[FrontEntry, ...]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Those that all of the studies have."""
        return self.joint.objectives


def front_json(folder: Path, budgets: Sequence[str] = (), every: bool = False) -> list[dict[str, Any]]:
    """The rows of `paredown front STUDY --json`, best quality first; where nothing keeps the budgets, first those that miss least.

    `budgets`: further ones as on the command line ("size=12MB"), in place of the study's own of that name; `every`: all complete trials,
    not the front alone. Raises BadInput where there is no study, and for what is no budget.
    """
    front = read_front(folder, budgets)
    return [entry.to_dict() for entry in shown_entries(front, every)]


def shown_entries(front: StudyFront | SeveralFront, every: bool = False) -> list[FrontEntry]:
    """Those on the front, or all, best first in the first objective (quality); what comes nearest to the budgets is shown before them."""
    chosen = [entry for entry in front.entries if every or entry.point.on_front or entry.near is not None]
    last = len(chosen)
    first = front.objectives[0]
    return sorted(chosen, key=lambda entry: (last if entry.near is None else entry.near, first.loss(entry.point.values[0])))


def read_front(folder: Path, budgets: Sequence[str] = ()) -> StudyFront:
    """One study. `budgets` and what is raised: as `front_json`."""
    spec, trials = read_study(folder)
    limits = budgets_of(spec, budgets)
    record, final = read_confirmation(folder), read_final(folder)
    points = make_front(trials, spec.objective_list, limits)
    near = {} if any(point.feasible for point in points) else _nearest(trials, limits)
    common = {"study": spec.name, "stopped_early": count_stopped(trials)}
    finished = sum(trial.is_finished for trial in trials)
    entries = []
    for point in points:
        missed = _misses(point, limits)
        confirmed = None if record is None else record.passed(point.trial)
        found = None if final is None else final.find(point.trial)
        figures = point.to_dict(spec.objective_list) | _missed_json(missed) | {"confirmed": confirmed} | _final_json(final, found, finished)
        alike = tuple(str(number) for number in point.indistinguishable)
        entries.append(FrontEntry(point, None, missed, alike, figures | common, confirmed, found, near.get(point.trial.number)))
    return StudyFront(spec, trials, limits, tuple(entries), record, final)


def read_fronts(folders: Sequence[Path], budgets: Sequence[str] = ()) -> SeveralFront:
    """Several studies on one front, labelled by their names, or by their folders where two have one name. Raises BadInput as `join`."""
    read = [(folder, *read_study(folder)) for folder in folders]
    names = [spec.name for _, spec, _ in read]
    sources = tuple(
        Entry(
            spec.name if names.count(spec.name) == 1 else str(folder),
            trials,
            spec.objective_list,
            budgets_of(spec, budgets),
            read_identity(folder),
            spec.objectives.quality,
        )
        for folder, spec, trials in read
    )
    joint = join(sources)
    of = {source.name: source for source in sources}
    stopped = {source.name: {"stopped_early": count_stopped(source.trials)} for source in sources}
    entries = []
    for each in joint.points:
        missed = _misses(each.point, of[each.study].budgets)
        figures = each.to_dict(joint.objectives) | _missed_json(missed) | stopped[each.study]
        alike = tuple(f"{study} {trial}" for study, trial in each.indistinguishable)
        entries.append(FrontEntry(each.point, each.study, missed, alike, figures))
    return SeveralFront(sources, joint, tuple(entries))


def _nearest(trials: Sequence[Trial], budgets: Sequence[Budget]) -> dict[int, int]:
    """Of the trials that come nearest to the budgets the numbers, with their order."""
    return {trial.number: order for order, trial in enumerate(least_violating(trials, budgets))} if budgets else {}


def _misses(point: FrontPoint, budgets: Sequence[Budget]) -> tuple[Miss, ...]:
    assert point.trial.outcome is not None  # it is complete
    return misses(budgets, point.trial.outcome)


def _missed_json(missed: Sequence[Miss]) -> dict[str, Any]:
    """By how much it misses which budget, in the budget's base unit; nothing where it keeps all."""
    return {"misses": {miss.budget.name: miss.beyond for miss in missed}} if missed else {}


def _final_json(record: Final | None, found: FinalPoint | None, finished: int) -> dict[str, Any]:
    """Its costs measured strictly and its quality on test, None where `paredown finish` did not get to it."""
    if record is None or found is None:
        return {"final": None}
    figures = {kind: figures for kind, figures in found.to_dict().items() if kind in ("strict", "test")}
    return {"final": figures | {"searched_after_test": record.searched_after_test(finished)}}
