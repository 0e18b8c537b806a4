"""One counter that wraps: how many microjoules went by between looks, or why that cannot be told.

A counter in [0, range] that is looked at after `dt` seconds, of something that draws at most `max_power_w`:

- `max_power_w * dt` reaches the range: it may have wrapped unseen, whatever it reads now. Refused.
- It rose by more than `max_power_w * dt`: no power explains it. Refused.
- It fell: a wrap or a reset. A wrap leads from the last reading through the end of the range to this one. It is believed only where a
  reset is all but excluded: the way round needs a possible power (not far above what was drawn just before, not above the
  maximum), and the interval is so short that the maximum power covers a hundredth of the range at most.

So the counter is looked at more often near both ends of its range (`due_s`): the maximum power reaches neither end before the next look.
Then a counter cannot have wrapped where it falls far from the end, and one that was set back cannot have climbed past its last reading
unseen: both are resets, and refused.

What remains: a register that is set back alone within the joules of one look around its wrap looks like a wrap, or like nothing. The
error is then smaller than what the maximum power gives in one look (55 J of 1000 W), and mostly than what the load gives (1 J of 20 W).
Real counters are set back together, by a suspend, which the clocks tell (`powercap.py`); all of a machine standing there at once is rare.
"""

import math
from dataclasses import dataclass

from paredown.profilers.energy.base import CounterReset, WrapUnresolved

DENSE_S = 0.05  # looks at this distance when an end of the range is near
_WRAP_SHARE = 0.01  # of the range that maximum power may cover in an interval that holds a wrap
_BLIND_WRAP_SHARE = 0.001  # the same where nothing is known of the power before
_CLOCK_SLACK_S = 0.005  # counters are updated each millisecond, and reading them takes time
_JUMP = 3.0  # times the power just before: more, and a fall is no wrap
_HISTORY_S = 0.1  # "just before": at least so long, so that steps of a millisecond do not matter


@dataclass(frozen=True)
class CounterRange:
    """`name`: for messages; `range_uj`: the largest reading (`max_energy_range_uj`); `max_power_w`: more is never drawn."""

    name: str
    range_uj: int
    max_power_w: float

    def __post_init__(self) -> None:
        if self.range_uj < 1:
            raise ValueError(f"the range of counter {self.name} must be at least 1 uJ, got {self.range_uj}")
        if not 0.0 < self.max_power_w < math.inf:
            raise ValueError(f"the maximum power of {self.name} must be a positive number of watts, got {self.max_power_w:g}")


class WrappingCounter:
    """Adds up one counter from look to look: `total_uj`. `value_uj`, `now_s`: the last reading and its time on a monotonic clock."""

    def __init__(self, limits: CounterRange, value_uj: int, now_s: float) -> None:
        self.limits = limits
        self.total_uj = 0
        self.value_uj = self._checked(value_uj)
        self.now_s = now_s
        self._recent: list[tuple[float, int]] = [(now_s, 0)]  # (time, total) of the looks that "just before" needs

    def look(self, value_uj: int, now_s: float) -> None:
        """Takes the reading of one moment. Raises CounterReset or WrapUnresolved; the counter is of no use afterwards."""
        value_uj = self._checked(value_uj)
        elapsed_s = now_s - self.now_s
        bound_uj = self.limits.max_power_w * 1e6 * (elapsed_s + _CLOCK_SLACK_S)
        if bound_uj >= self.limits.range_uj:
            raise WrapUnresolved(
                f"{self.limits.name} was not looked at for {elapsed_s:.3g} s: at up to {self.limits.max_power_w:g} W "
                f"its {self.limits.range_uj / 1e6:.6g} J may have wrapped unseen"
            )
        step_uj = value_uj - self.value_uj
        if step_uj < 0:
            step_uj += self.limits.range_uj
            self._check_wrap(value_uj, step_uj, elapsed_s, bound_uj)
        elif step_uj > bound_uj:
            raise CounterReset(f"{self.limits.name} rose by {step_uj / 1e6:.6g} J in {elapsed_s:.3g} s: more than any power explains")
        self.total_uj += step_uj
        self.value_uj, self.now_s = value_uj, now_s
        self._remember(now_s)

    def due_s(self) -> float:
        """Seconds after which the next look is due."""
        to_end_uj = min(self.value_uj, self.limits.range_uj - self.value_uj)
        return max(DENSE_S, to_end_uj / 1e6 / self.limits.max_power_w / 2.0)

    def _check_wrap(self, value_uj: int, step_uj: int, elapsed_s: float, bound_uj: float) -> None:
        """`step_uj`: what a wrap would have counted."""
        fall = f"{self.limits.name} fell from {self.value_uj / 1e6:.6f} to {value_uj / 1e6:.6f} J"
        if step_uj > bound_uj:
            raise CounterReset(f"{fall} in {elapsed_s:.3g} s: a wrap would take {step_uj / 1e6:.6g} J, so it was set back")
        if bound_uj > _WRAP_SHARE * self.limits.range_uj:
            raise WrapUnresolved(f"{fall} in the {elapsed_s:.3g} s between two looks: too long to tell a wrap from a reset")
        power_w = self._power_before_w()
        if power_w is None and bound_uj > _BLIND_WRAP_SHARE * self.limits.range_uj:
            raise WrapUnresolved(f"{fall} in the first {elapsed_s:.3g} s of the window: too long to tell a wrap from a reset")
        if power_w is not None and step_uj / 1e6 > _JUMP * power_w * (elapsed_s + _CLOCK_SLACK_S):
            raise WrapUnresolved(f"{fall} at {power_w:.3g} W just before: a wrap of {step_uj / 1e6:.6g} J cannot be told from a reset")

    def _power_before_w(self) -> float | None:
        (begin_s, begin_uj), (end_s, end_uj) = self._recent[0], self._recent[-1]
        if end_s - begin_s < _HISTORY_S:
            return None
        return (end_uj - begin_uj) / 1e6 / (end_s - begin_s)

    def _remember(self, now_s: float) -> None:
        """Keeps as few looks as cover `_HISTORY_S`."""
        self._recent.append((now_s, self.total_uj))
        while len(self._recent) > 2 and now_s - self._recent[1][0] >= _HISTORY_S:
            self._recent.pop(0)

    def _checked(self, value_uj: int) -> int:
        if not 0 <= value_uj <= self.limits.range_uj:
            raise CounterReset(f"{self.limits.name} must read 0 to {self.limits.range_uj} uJ, got {value_uj}")
        return value_uj
