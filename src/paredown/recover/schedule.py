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

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, …, `total_steps` - 1; 0 from `total_steps` on."""
        rise = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        fall = min(1.0, (self.total_steps - step) / self.cooldown_steps) if self.cooldown_steps else 1.0
        return self.peak_rate * max(0.0, min(rise, fall)) if step < self.total_steps else 0.0
