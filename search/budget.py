"""Limits on measurements, in human units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from paredown.errors import BadInput
from paredown.search.objective import Direction
from paredown.search.outcome import Outcome
from paredown.search.units import format_value, parse_energy_mj, parse_latency_ms, parse_size_bytes

BUDGET_NAMES = ("size", "latency@cpu", "latency@cuda", "energy@cpu", "quality")
METRICS: Mapping[str, str] = {"chrf": "chrF", "bleu": "BLEU", "wer": "WER"}
# Violations are summed over budgets by TPE and NSGA-II: ten points of quality missed weigh as much as twice the size allowed.
QUALITY_SCALE = 10.0


@dataclass(frozen=True)
class Budget:
    """A limit on one measurement: at most `limit` where the direction is "minimize", at least where it is "maximize".

    `measure`: key of the measurement in an outcome. `name`: what people call it ("size"). `scale` turns a miss into a violation.
    """

    name: str
    measure: str
    limit: float
    direction: Direction
    unit: str
    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"the scale of a budget must be above zero, got {self.scale}")

    @property
    def is_quality(self) -> bool:
        """Whether it limits what the model says, not what it costs."""
        return self.measure == "quality" or self.measure in METRICS

    def violation(self, value: float) -> float:
        """How far the value lies beyond the limit, in units of `scale`; at most 0 where the budget is kept."""
        miss = value - self.limit if self.direction == "minimize" else self.limit - value
        return miss / self.scale

    def __str__(self) -> str:
        return f"{self.name} {'<=' if self.direction == 'minimize' else '>='} {format_value(self.limit, self.unit)}"


def make_budget(name: str, text: str | float, metric: str = "chrf") -> Budget:
    """The budget a study file or the command line states.

    `name`: one of `BUDGET_NAMES`. `metric`: the study's quality metric, "chrf", "bleu" or "wer".
    A quality at or below zero is the loss allowed against the uncompressed model, in points of the metric; above zero it is the score
    itself, at least, and at most where it is a word error rate. Raises BadInput on an unknown name (with the near one) and on an
    unreadable limit.
    """
    if name == "size":
        limit = float(parse_size_bytes(text, "budget size"))
        return Budget(name, "size_bytes", limit, "minimize", "bytes", limit)
    kind, _, target = name.partition("@")
    if kind == "latency" and name in BUDGET_NAMES:
        limit = parse_latency_ms(text, f"budget {name}")
        return Budget(name, f"latency_ms@{target}", limit, "minimize", "ms", limit)
    if kind == "energy" and name in BUDGET_NAMES:
        limit = parse_energy_mj(text, f"budget {name}")
        return Budget(name, f"energy_mj@{target}", limit, "minimize", "mJ", limit)
    if name == "quality":
        return _quality_budget(text, metric)
    near = get_close_matches(name, BUDGET_NAMES, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise BadInput(f"a budget is on one of {', '.join(BUDGET_NAMES)}; got {name!r}{hint}")


def parse_budget_option(text: str) -> tuple[str, str]:
    """Name and limit of a command-line budget such as "size=12MB"; raises BadInput where there is no "="."""
    name, equals, limit = text.partition("=")
    if not equals or not name.strip() or not limit.strip():
        raise BadInput(f'a budget is written NAME=LIMIT such as "size=12MB", got {text!r}')
    return name.strip(), limit.strip()


def violations(budgets: Iterable[Budget], outcome: Outcome) -> tuple[float, ...]:
    """One violation per budget, at most 0 where it is kept; raises ValueError where its measurement is missing."""
    return tuple(budget.violation(outcome.value(budget.measure)) for budget in budgets)


def is_feasible(budgets: Iterable[Budget], outcome: Outcome) -> bool:
    """Whether every budget is kept."""
    return all(violation <= 0 for violation in violations(budgets, outcome))


def _quality_budget(text: str | float, metric: str) -> Budget:
    points = METRICS[metric]
    try:
        limit = float(text)
    except ValueError:
        limit = float("nan")
    if not -100.0 <= limit <= 100.0:
        raise BadInput(f"budget quality must be {points} points: a loss such as -1.0 or a score such as 45; got {text!r}")
    measure = "quality" if limit <= 0 else metric
    direction: Direction = "minimize" if measure == "wer" else "maximize"
    return Budget(measure, measure, limit, direction, points, QUALITY_SCALE)
