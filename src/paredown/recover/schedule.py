"""Warm-up, stable, decay: the learning rate depends on the end of training only in its last part, so the end can be decided late."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Linear rise over `warmup_steps` to `peak_rate`, constant, then linear fall to 0 over the last `cooldown_steps` of `total_steps`."""

    total_steps: int
    cooldown_steps: int
    warmup_steps: int = 600
    peak_rate: float = 2.0e-3

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise ValueError(f"total steps must be at least 1, got {self.total_steps}")
        if not 0 <= self.cooldown_steps <= self.total_steps:
            raise ValueError(f"cooldown steps must lie in [0, {self.total_steps}], got {self.cooldown_steps}")
        if self.warmup_steps < 0:
            raise ValueError(f"warm-up steps must be at least 0, got {self.warmup_steps}")

    def rate(self, step: int, used_s: float = 0.0) -> float:
        """The learning rate of step 0, 1, …, `total_steps` - 1; 0 from `total_steps` on. The seconds used don't count."""
        del used_s
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        fall = min(1.0, (self.total_steps - step) / self.cooldown_steps) if self.cooldown_steps else 1.0
        return self.peak_rate * max(0.0, min(rise, fall)) if step < self.total_steps else 0.0

    def is_over(self, step: int, used_s: float = 0.0) -> bool:
        """Whether all steps are done."""
        del used_s
        return step >= self.total_steps


@dataclass(frozen=True)
class TimedSchedule:
    """The same bounded by time: the fall to 0 lies in the last share `cooldown` of `total_s` seconds; how many steps there are shows later.

    What a run gives then depends on the machine.
    """

    total_s: float
    cooldown: float = 0.75
    warmup_steps: int = 0
    peak_rate: float = 5.0e-4

    def __post_init__(self) -> None:
        if not self.total_s > 0:
            raise ValueError(f"seconds of a schedule must be above 0, got {self.total_s:g}")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"the cooldown's share must lie in [0, 1], got {self.cooldown:g}")
        if self.warmup_steps < 0:
            raise ValueError(f"warm-up steps must be at least 0, got {self.warmup_steps}")

    def rate(self, step: int, used_s: float) -> float:
        """The learning rate of a step that begins when `used_s` seconds are used; 0 when all are."""
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        left = max(0.0, 1.0 - used_s / self.total_s)
        fall = min(1.0, left / self.cooldown) if self.cooldown else float(left > 0)
        return self.peak_rate * min(rise, fall)

    def is_over(self, step: int, used_s: float) -> bool:
        """Whether the time is used up; one step is done in any case."""
        return step > 0 and used_s >= self.total_s
