"""Claims of no loss: which trials are tested on *test*, in which order, and the record of what came out.

Trials are chosen and ordered by their figures on *search*; margin, order and data are written down before the first is tested. Each is
tested once, from mild to aggressive, up to the first that fails, so that all that pass are confirmed together at the level of one test
(errata, "Judging no loss"). The record is a file of the study, `confirmed.json`, rewritten whole after every step: a confirmation that
was killed goes on, one that is finished is only read.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from paredown.errors import BadInput
from paredown.search.budget import METRICS, Budget, is_feasible
from paredown.search.front import make_front, non_dominated
from paredown.search.objective import Objective
from paredown.search.trial import Trial
from paredown.space.configuration import Configuration

FILE = "confirmed.json"
SCHEMA = 1
By = Literal["size", "latency", "energy"]
_MEASURES: Mapping[str, str] = {"size": "size_bytes", "latency": "latency_ms@", "energy": "energy_mj@"}


@dataclass(frozen=True)
class Planned:
    """A trial to test. `cost`: in the unit of its objective; `search_loss`: points lost on *search*, by which it was chosen."""

    trial: int
    digest: str
    cost: float
    search_loss: float


@dataclass(frozen=True)
class Verdict:
    """What came out on *test*, in points of the metric; `loss` above 0 where the trial is worse than the uncompressed model.

    `test`: its name; `upper95`: the one-sided 95 % bound of the loss; `smallest_visible`: the smallest margin that a trial which loses
    nothing would have passed; `dagger_test`, `dagger_p`, `dagger_visible`: the papers' test of a difference, its p-value and the smallest
    effect that it would have called significant.
    """

    trial: int
    digest: str
    test: str
    margin: float
    utterances: int
    loss: float
    upper95: float
    smallest_visible: float
    relative_loss: float | None
    passed: bool
    dagger_test: str
    dagger_p: float
    dagger_visible: float


@dataclass(frozen=True)
class Confirmation:
    """The record. `model`, `test_split`: digests; `split`: what the user called it; `verdicts`: of the first of `order`, one each."""

    metric: str
    margin: float
    by: By
    model: str
    test_split: str
    split: str
    order: tuple[Planned, ...]
    verdicts: tuple[Verdict, ...] = ()

    def __post_init__(self) -> None:
        tested = [(verdict.trial, verdict.digest) for verdict in self.verdicts]
        if tested != [(planned.trial, planned.digest) for planned in self.order[: len(tested)]]:
            raise ValueError(f"verdicts must follow the order of the plan, got those of trials {[trial for trial, _ in tested]}")

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to test: all passed, or one failed."""
        return len(self.verdicts) == len(self.order) or any(not verdict.passed for verdict in self.verdicts)

    def passed(self, trial: Trial) -> bool | None:
        """Whether a trial passed; None where it was not tested, and for one of another study."""
        found = {(verdict.trial, verdict.digest): verdict.passed for verdict in self.verdicts}
        return found.get((trial.number, trial.digest))

    def with_verdict(self, verdict: Verdict) -> "Confirmation":
        return replace(self, verdicts=(*self.verdicts, verdict))

    def to_dict(self) -> dict[str, Any]:
        """The stable JSON form."""
        return {"schema": SCHEMA, **asdict(self), "done": self.is_done}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; raises KeyError, TypeError or ValueError on anything else."""
        plain = {name: entry for name, entry in value.items() if name not in ("schema", "done", "order", "verdicts")}
        if value["schema"] != SCHEMA or value["by"] not in get_args(By) or value["metric"] not in METRICS:
            given = " and ".join(str(value[name]) for name in ("schema", "by", "metric"))
            raise ValueError(
                f"schema must be {SCHEMA}, by one of {', '.join(get_args(By))} and metric of {', '.join(METRICS)}, got {given}"
            )
        order, verdicts = (Planned(**each) for each in value["order"]), (Verdict(**each) for each in value["verdicts"])
        return cls(**plain, order=tuple(order), verdicts=tuple(verdicts))


def read_confirmation(folder: Path) -> Confirmation | None:
    """The record of a study, None where there is none. Raises BadInput if it is damaged."""
    try:
        return Confirmation.from_dict(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{folder / FILE} must be a record written by paredown confirm, it is not ({error})") from None


def write_confirmation(record: Confirmation, folder: Path) -> None:
    """Writes the record, whole or not at all, and through to the disk: a test must not be run twice."""
    fresh = folder / f"{FILE}.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(record.to_dict(), file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / FILE)


def cost_of(by: str, objectives: Sequence[Objective]) -> Objective:
    """The cost that trials are ordered by; raises BadInput where the study did not measure it."""
    for objective in objectives:
        if objective.name.startswith(_MEASURES[by]):
            return objective
    raise BadInput(f"an order by {by} needs the objective {_MEASURES[by].rstrip('@')}; this study has {_names(objectives)}")


def plan(
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    budgets: Sequence[Budget],
    margin: float,
    by: By,
    reference: Configuration,
) -> tuple[Planned, ...]:
    """What is worth testing, from mild to aggressive.

    Of the trials on the front that keep the budgets and lose at most `margin` on *search*, those that no other one beats in both cost and
    loss: so each step is cheaper than the one before and lost more. The uncompressed model, `reference`, needs no test. Raises BadInput
    where the study did not measure that cost, or where no trial is left.
    """
    cost = cost_of(by, objectives)
    front = [point.trial for point in make_front(trials, objectives, budgets) if point.on_front and point.feasible]
    worth = [
        Planned(trial.number, trial.digest, trial.outcome.value(cost.name), 0.0 - trial.outcome.value("quality"))
        for trial in front
        if trial.outcome is not None and trial.configuration != reference
    ]
    worth = [planned for planned in worth if planned.search_loss <= margin]
    if not worth:
        raise BadInput(f"no trial of the front loses at most {margin:g} on search, so there is nothing to confirm; nothing was tested")
    points = np.array([(planned.cost, planned.search_loss) for planned in worth], dtype=np.float64)
    keep = non_dominated(points).tolist()
    distinct = {(planned.cost, planned.search_loss): planned for planned, on in zip(reversed(worth), reversed(keep), strict=True) if on}
    return tuple(sorted(distinct.values(), key=lambda planned: -planned.cost))


def pick_confirmed(
    record: Confirmation | None,
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    budgets: Sequence[Budget] = (),
    by: By | None = None,
) -> Trial:
    """The smallest (or fastest, or frugalest: `by`, None takes the record's) trial that was confirmed and keeps the budgets.

    Raises BadInput, with what to do about it, where there is none.
    """
    if record is None or not record.is_done:
        state = "none was confirmed yet" if record is None else "the confirmation of this study is not finished"
        raise BadInput(f"pick lossless takes a trial that was confirmed on test, {state}: run paredown confirm STUDY")
    cost = cost_of(by or record.by, objectives)
    passed = [trial for trial in trials if record.passed(trial)]
    if not passed:
        limit = f"{record.margin:g} {METRICS[record.metric]}"
        raise BadInput(f"pick lossless: no trial of this study was confirmed within {limit} on {record.split}")
    fitting = [(trial, trial.outcome) for trial in passed if trial.outcome is not None and is_feasible(budgets, trial.outcome)]
    if not fitting:
        limits = ", ".join(str(budget) for budget in budgets)
        raise BadInput(f"no trial that was confirmed keeps {limits}; confirmed are {', '.join(str(trial.number) for trial in passed)}")
    return min(fitting, key=lambda pair: (cost.loss(pair[1].value(cost.name)), -pair[1].value("quality"), pair[0].number))[0]


def _names(objectives: Sequence[Objective]) -> str:
    return ", ".join(objective.name for objective in objectives)
