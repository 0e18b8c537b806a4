"""What a study minimizes or maximizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from paredown.search.outcome import Outcome

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Objective:
    """One measurement the study drives.

    `name`: key of the measurement in an outcome ("quality", "latency_ms@cpu", "size_bytes"). `scale`: "log" for costs, whose
    differences matter as ratios and which must be above zero; "linear" for quality, which may be a difference around zero.
    """

    name: str
    direction: Direction
    unit: str
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"a direction is minimize or maximize, got {self.direction!r}")

    def loss(self, value: float) -> float:
        """The value turned so that lower is better."""
        return value if self.direction == "minimize" else -value

    def checked(self, value: float) -> float:
        """The value; raises ValueError where the scale is logarithmic and it is not above zero."""
        if self.scale == "log" and not value > 0:
            raise ValueError(f"{self.name} must be above zero, got {value}")
        return value


def losses(objectives: Sequence[Objective], values: Sequence[float]) -> tuple[float, ...]:
    """All values turned so that lower is better, in the order of the objectives."""
    return tuple(objective.loss(value) for objective, value in zip(objectives, values, strict=True))


def read_values(objectives: Sequence[Objective], outcome: Outcome) -> tuple[float, ...]:
    """One value per objective; raises ValueError where one is missing, not finite or not above zero on a logarithmic scale."""
    return tuple(objective.checked(outcome.value(objective.name)) for objective in objectives)
