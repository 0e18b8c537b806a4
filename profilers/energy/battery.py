"""Energy of a whole laptop from its batteries' own counters: readable by everyone, coarse, for long windows.

/sys/class/power_supply/BAT*/ gives `energy_now` (uWh), or `charge_now` (uAh) that is multiplied by `voltage_now` (uV) look by look;
`power_now` (uW) is held against it. Counted only while the machine runs on its batteries. Everything the machine does is in the figure:
screen, radio, other programs. Batteries of devices (a mouse: `scope` is Device) are ignored; several batteries are added, since they
empty one after another.

The counter moves in steps (often of 10 mWh, every few seconds to a minute). Each end of a window may be off by one: a window in which
the largest step seen is more than a twentieth of what was counted is refused, with how long it must run.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from paredown.errors import BadInput
from paredown.profilers.energy.base import (
    AccessLost,
    CounterReset,
    CounterTooCoarse,
    DomainVanished,
    EnergySource,
    StateChanged,
)
from paredown.profilers.energy.powercap import SLEPT_S, Read, slept_s
from paredown.profilers.energy.supplies import SUPPLIES, find_batteries, has_counter, plugged_in
from paredown.profilers.measurement import DetailValue

POLL_S = 5.0  # looks at status, step and power; the counters themselves move no faster
MAX_STEP_SHARE = 0.05  # of the counted energy that one step may be
MAX_DISAGREEMENT = 1.5  # times that the counter and `power_now` may differ, averaged over the window
_J_PER_UWH = _AS_PER_UAH = 3.6e-3
_LONG_GAP_S = 60.0  # without a look: the charger may have come and gone


@dataclass(frozen=True)
class BatteryLook:
    """What one battery holds by its counter, in joules or, `by_charge`, in ampere seconds; volts it has then, else 1; watts it says it
    gives, None where it does not."""

    held: float
    volts: float
    power_w: float | None

    def drained_j(self, before: "BatteryLook") -> float:
        """Joules given since the look before."""
        return (before.held - self.held) * (before.volts + self.volts) / 2.0


class BatterySource(EnergySource):
    """`root`: where /sys is looked up; `read`: the text of a file; `clock`: monotonic seconds; `slept`: seconds suspended.

    Raises BadInput where there is no battery with a counter, or the machine is plugged in.
    """

    name = "battery"
    label = "battery (whole machine)"
    target = "machine"
    provenance = "measured"

    def __init__(
        self,
        root: Path = Path("/"),
        read: Read = Path.read_text,
        clock: Callable[[], float] = time.monotonic,
        slept: Callable[[], float] = slept_s,
    ) -> None:
        self._root, self._read, self._clock, self._slept = root, read, clock, slept
        self._batteries = find_batteries(root, read)
        if not self._batteries:
            raise BadInput(f"energy from the battery needs one below {root / SUPPLIES}, found none")
        missing = [battery.name for battery in self._batteries if not has_counter(battery)]
        if missing:
            raise BadInput(f"every battery must have energy_now, or charge_now and voltage_now; {', '.join(missing)} has not")
        obstacle = plugged_in(root, read)
        if obstacle is not None:
            raise BadInput(f"energy from the battery is counted while it discharges; {obstacle}: unplug the charger")
        # Settled here: a counter that goes afterwards is an error, not a change of method.
        self._by_charge = {battery.name for battery in self._batteries if not (battery / "energy_now").exists()}
        self.method = "charge_now times voltage_now" if self._by_charge else "energy_now"
        self.domains = tuple(battery.name for battery in self._batteries)
        self.counted = self.domains
        self._looks: Mapping[str, BatteryLook] = {}
        self._drained_j: dict[str, float] = {}
        self._powers_w: list[float] = []
        self._step_j = self._start_s = self._last_s = self._slept_at_start_s = 0.0

    def start(self) -> float:
        self._looks = self._look()
        self._drained_j, self._step_j, self._powers_w = dict.fromkeys(self._looks, 0.0), 0.0, []
        self._start_s = self._last_s = self._clock()
        self._slept_at_start_s = self._slept()
        return POLL_S

    def poll(self) -> float:
        now_s, looks = self._clock(), self._look()
        if now_s - self._last_s > _LONG_GAP_S:
            raise StateChanged(f"the battery was not looked at for {now_s - self._last_s:.3g} s: the charger may have come and gone")
        asleep_s = self._slept() - self._slept_at_start_s
        if asleep_s > SLEPT_S:
            raise StateChanged(f"the machine slept {asleep_s:.3g} s within the window")
        for name, look in looks.items():
            drained_j = look.drained_j(self._looks[name])
            if drained_j < 0.0:
                raise CounterReset(
                    f"{name} holds {-drained_j:.6g} J more than {now_s - self._last_s:.3g} s before: its gauge was corrected"
                )
            self._drained_j[name] += drained_j
            self._step_j = max(self._step_j, drained_j)
        powers = [look.power_w for look in looks.values()]
        if None not in powers:
            self._powers_w.append(sum(power for power in powers if power is not None))
        self._looks, self._last_s = looks, now_s
        return POLL_S

    def stop(self) -> Mapping[str, float]:
        self.poll()
        elapsed_s, drained_j = self._last_s - self._start_s, sum(self._drained_j.values())
        if drained_j <= 0.0:
            raise CounterTooCoarse(f"the battery's counter did not move in {elapsed_s:.3g} s: run for ten minutes at least")
        share = self._step_j / drained_j
        if share > MAX_STEP_SHARE:
            longer_s = math.ceil(elapsed_s * share / MAX_STEP_SHARE)
            raise CounterTooCoarse(
                f"the battery moved by {drained_j:.4g} J in steps of up to {self._step_j:.4g} J within {elapsed_s:.3g} s: "
                f"a step may be {MAX_STEP_SHARE:.0%} of it at most, run for {longer_s} s at least"
            )
        self._check_power(drained_j / elapsed_s)
        # A second battery that waits for its turn gives nothing: that is a true zero, its counter was read and stood.
        return dict(self._drained_j)

    def detail(self) -> tuple[tuple[str, DetailValue], ...]:
        power_w = self._power_now_w()
        return (("battery_step_j", self._step_j), ("battery_power_now_w", power_w))

    def _power_now_w(self) -> float | None:
        return sum(self._powers_w) / len(self._powers_w) if self._powers_w else None

    def _check_power(self, counted_w: float) -> None:
        said_w = self._power_now_w()
        if said_w and not 1.0 / MAX_DISAGREEMENT <= counted_w / said_w <= MAX_DISAGREEMENT:
            raise StateChanged(f"the battery's counter says {counted_w:.3g} W and its power_now {said_w:.3g} W: one of them is wrong")

    def _look(self) -> dict[str, BatteryLook]:
        obstacle = plugged_in(self._root, self._read)
        if obstacle is not None:
            raise StateChanged(f"energy from the battery is counted while it discharges; {obstacle}")
        return {battery.name: self._look_at(battery) for battery in self._batteries}

    def _look_at(self, battery: Path) -> BatteryLook:
        power = battery / "power_now"
        power_w = abs(self._micro(power)) / 1e6 if power.exists() else None  # some give it a minus sign while they discharge
        if battery.name in self._by_charge:
            return BatteryLook(self._micro(battery / "charge_now") * _AS_PER_UAH, self._micro(battery / "voltage_now") / 1e6, power_w)
        return BatteryLook(self._micro(battery / "energy_now") * _J_PER_UWH, 1.0, power_w)

    def _micro(self, path: Path) -> int:
        try:
            return int(self._read(path))
        except PermissionError:
            raise AccessLost(f"{path} may not be read") from None
        except OSError as error:
            raise DomainVanished(f"{path} cannot be read ({error.strerror or type(error).__name__})") from None
        except ValueError:
            raise DomainVanished(f"{path} must hold a whole number") from None
