"""The final figures of a study: its front measured strictly, and scored once on *test*.

The figures of the search stay in the study; these stand beside them, so that a winner's luck is visible. They choose nothing: picks and
budgets go by the figures of the search. The record is a file of the study, `front/final.json`, rewritten whole after every step: what was
killed goes on, what is there is not measured again. It remembers how many trials there were whenever *test* was looked at: where a study
goes on afterwards, figures on *test* are no longer those of data that nobody had seen.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.search.budget import METRICS, Budget, is_feasible
from paredown.search.front import make_front
from paredown.search.misses import least_violating
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial

FILE = Path("front") / "final.json"
SCHEMA = 1
NEAREST = 3  # points of a study in which nothing keeps the budgets
NOTHING = Outcome(())


@dataclass(frozen=True)
class FinalPoint:
    """A trial by three sets of figures: as the `search` saw it, costs measured as `strict` as can be, and what it says on `test`.

    `strict` holds costs ("latency_ms@cpu"), `test` quality ("quality", "chrf"); both are filled step by step.
    """

    trial: int
    digest: str
    search: Outcome
    strict: Outcome = NOTHING
    test: Outcome = NOTHING

    @property
    def figures(self) -> dict[str, Measurement]:
        """The final figures by name: costs measured strictly, quality on test."""
        return self.strict.measurement_of | self.test.measurement_of

    def with_strict(self, name: str, measurement: Measurement) -> "FinalPoint":
        return replace(self, strict=Outcome(tuple((self.strict.measurement_of | {name: measurement}).items())))

    def to_dict(self) -> dict[str, Any]:
        kinds = {"search": self.search, "strict": self.strict, "test": self.test}
        figures = {kind: {name: each.to_dict() for name, each in outcome.measurements} for kind, outcome in kinds.items()}
        return {"trial": self.trial, "digest": self.digest, **figures}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        def outcome(figures: Mapping[str, Any]) -> Outcome:
            return Outcome(tuple((name, Measurement.from_dict(each)) for name, each in figures.items()))

        return cls(value["trial"], value["digest"], *(outcome(value[kind]) for kind in ("search", "strict", "test")))


@dataclass(frozen=True)
class Final:
    """The record. `metric`: of quality; `model`, `test_split`: digests; `split`: what the user called it, None while test is unseen.

    `feasible`: whether the points keep the budgets (where nothing does, they are the nearest ones). `finished`: trials of the study when
    points were last chosen; `looks`: trials there were each time that *test* was decoded.
    """

    metric: str
    model: str
    points: tuple[FinalPoint, ...] = ()
    feasible: bool = True
    test_split: str | None = None
    split: str | None = None
    finished: int = 0
    looks: tuple[int, ...] = field(default=())

    def find(self, trial: Trial) -> FinalPoint | None:
        """The point of a trial, None where it has none, and for a trial of another study."""
        return next((point for point in self.points if (point.trial, point.digest) == (trial.number, trial.digest)), None)

    def figure(self, trial: Trial, name: str) -> Measurement | None:
        """The final figure of a trial by the name of the objective: quality on test, a cost measured strictly; None where there is none."""
        point = self.find(trial)
        return None if point is None else point.figures.get(name)

    def with_point(self, point: FinalPoint) -> "Final":
        """With this point in place of the one of the same trial, or as the last one."""
        points = {known.trial: known for known in self.points} | {point.trial: point}
        return replace(self, points=tuple(points.values()))

    def with_look(self, test_split: str, split: str) -> "Final":
        """Before test is decoded."""
        return replace(self, test_split=test_split, split=split, looks=tuple(dict.fromkeys((*self.looks, self.finished))))

    def searched_after_test(self, finished: int | None = None) -> bool:
        """Whether trials followed a look at test. `finished`: trials of the study now, None takes those of the record."""
        return bool(self.looks) and min(self.looks) < (self.finished if finished is None else finished)

    def warning(self, finished: int | None = None) -> str | None:
        """A line for whoever reads figures on test after the search went on, None where it did not."""
        if not self.searched_after_test(finished):
            return None
        seen = min(self.looks)
        more = (self.finished if finished is None else finished) - seen
        return f"test was looked at before the search went on, after {seen} trials; {more} followed, and fresh data would judge fairer"

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        plain = asdict(replace(self, points=()))
        points = [point.to_dict() for point in self.points]
        return {"schema": SCHEMA, **plain, "points": points, "searched_after_test": self.searched_after_test()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; raises KeyError, TypeError or ValueError on anything else."""
        if value["schema"] != SCHEMA or value["metric"] not in METRICS:
            raise ValueError(f"schema must be {SCHEMA} and metric of {', '.join(METRICS)}, got {value['schema']} and {value['metric']}")
        plain = {name: entry for name, entry in value.items() if name not in ("schema", "points", "looks", "searched_after_test")}
        return cls(**plain, points=tuple(map(FinalPoint.from_dict, value["points"])), looks=tuple(value["looks"]))


def choose_points(trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget]) -> tuple[tuple[Trial, ...], bool]:
    """The trials worth final figures, and whether they keep the budgets.

    They are the front of those that keep the budgets. Where none does, they are the (at most three) least violating trials. Raises BadInput
    where no trial is complete.
    """
    complete = [(trial, trial.outcome) for trial in trials if trial.outcome is not None]
    if not complete:
        raise BadInput(f"final figures need a complete trial, this study has none among {len(trials)}")
    kept = [trial for trial, outcome in complete if is_feasible(budgets, outcome)]
    if kept:
        return tuple(point.trial for point in make_front(kept, objectives, budgets) if point.on_front), True
    return least_violating(trials, budgets)[:NEAREST], False


def read_final(folder: Path) -> Final | None:
    """The record of a study, None where there is none. Raises BadInput if it is damaged."""
    try:
        return Final.from_dict(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder / FILE} must be a record written by paredown finish, it is not ({error})") from None


def write_final(record: Final, folder: Path) -> None:
    """Writes the record, whole or not at all, and through to the disk: minutes of measuring, and that test was looked at."""
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(record.to_dict(), file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
