"""Every energy source beside a fake of its hardware, in simulated time: what was drawn is known."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paredown.profilers.energy.base import EnergySource
from paredown.profilers.energy.battery import BatterySource
from paredown.profilers.energy.estimate import EstimateSource
from paredown.profilers.energy.nvml import NvmlSource
from paredown.profilers.energy.powercap import PowercapSource
from paredown.profilers.energy.pyrapl import PyRaplSource
from paredown.profilers.measurement import DetailValue
from tests.profilers.energy.fake_nvml import FakeGpu
from tests.profilers.energy.trees import LAYOUTS, write_battery, write_charger, write_cpuinfo, write_packages, write_zones


@dataclass
class SimulatedClock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Simulated(EnergySource):
    """A source whose polls are due in simulated time: it tells the meter's thread that none is ever due, and `pass_time` makes them."""

    def __init__(self, source: EnergySource) -> None:
        self.inner, self.due_s, self.open = source, math.inf, False
        for name in ("name", "label", "target", "provenance", "method", "domains", "counted", "min_window_s"):
            setattr(self, name, getattr(source, name))

    def start(self) -> float:
        self.open = False
        self.due_s, self.open = self.inner.start(), True
        return math.inf

    def poll(self) -> float:
        try:
            self.due_s = self.inner.poll()
        except BaseException:
            self.open = False  # as the meter's thread ends
            raise
        return math.inf

    def stop(self) -> Mapping[str, float]:
        self.open = False
        return self.inner.stop()

    def detail(self) -> tuple[tuple[str, DetailValue], ...]:
        return self.inner.detail()


@dataclass
class Rig:
    """`draw(s, w)`: time passes in which the counted domains together draw so many watts; `lose`, `restore`: access to a counter;
    `tolerance_j`: what the counters' steps allow at both ends of a window; `window_s`, `power_w`: a window that the source answers."""

    name: str
    source: Simulated
    clock: SimulatedClock
    add: Callable[[float, float], None]
    lose: Callable[[], None]
    restore: Callable[[], None]
    tolerance_j: float
    window_s: float = 20.0
    power_w: float = 30.0
    drawn_j: float = field(default=0.0)

    def draw(self, seconds: float, watts: float) -> None:
        """In steps, so that polls come when they are due."""
        left_s = seconds
        while left_s > 1e-9:
            step_s = min(left_s, self.source.due_s if self.source.open else math.inf, 0.05 if self.name.startswith("nvml") else math.inf)
            self.clock.now_s += step_s
            self.add(step_s, watts)
            self.drawn_j += step_s * watts
            left_s -= step_s
            self.source.due_s -= step_s
            if self.source.open and self.source.due_s <= 1e-9:
                self.source.poll()


def powercap_rig(root: Path, layout: str) -> Rig:
    zones = LAYOUTS[layout]
    folders = write_zones(root, zones)
    packages = sorted(folder for folder, name in zones.items() if name.startswith("package") and "mmio" not in folder)
    write_packages(root, len(packages))
    clock = SimulatedClock()
    joules = dict.fromkeys(folders, 1e5)
    shares = dict.fromkeys(folders, 0.25) | dict.fromkeys(packages, 1.0 / len(packages))

    def add(seconds: float, watts: float) -> None:
        for folder, path in folders.items():
            joules[folder] += seconds * watts * shares[folder]
            if (path / "energy_uj").exists():
                (path / "energy_uj").write_text(f"{round(joules[folder] * 1e6)}\n")

    lost = folders[packages[-1]] / "energy_uj"
    source = PowercapSource(root, clock=clock, slept=lambda: 0.0)
    return Rig(f"rapl {layout}", Simulated(source), clock, add, lost.unlink, lost.touch, 4e-6)


def battery_rig(root: Path, by_charge: bool) -> Rig:
    """One battery in steps of 10 mWh (or 1 mAh at 11 V), power_now beside it; a second that waits; a mouse's; a charger unplugged."""
    step, volts = (1000, 11.0) if by_charge else (10_000, 1.0)
    fields: dict[str, Any] = {"energy_now": None, "charge_now": 4_000_000, "voltage_now": 11_000_000} if by_charge else {}
    battery = write_battery(root, **fields)
    write_battery(root, "BAT1", status="Not charging", power_now=0)
    write_battery(root, "hidpp_battery_0", scope="Device", status="Discharging", energy_now=77, power_now=None)
    write_charger(root)
    counter = battery / ("charge_now" if by_charge else "energy_now")
    held = float(counter.read_text())
    clock = SimulatedClock()

    def add(seconds: float, watts: float) -> None:
        nonlocal held
        held -= seconds * watts / volts / 3.6e-3
        (battery / "power_now").write_text(f"{round(watts * 1e6)}\n")
        if counter.exists():
            counter.write_text(f"{math.ceil(held / step) * step}\n")

    source = BatterySource(root, clock=clock, slept=lambda: 0.0)
    name = "battery by charge" if by_charge else "battery"
    return Rig(name, Simulated(source), clock, add, counter.unlink, counter.touch, 2 * step * volts * 3.6e-3, window_s=300.0)


def nvml_rig(counts: bool) -> Rig:
    gpu, clock = FakeGpu(counts), SimulatedClock()
    gpu.power_w = 30.0

    def add(seconds: float, watts: float) -> None:
        gpu.energy_j += seconds * watts
        gpu.power_w = watts

    source = NvmlSource(gpu.module, clock=clock, sleep=clock.sleep)
    name = "nvml" if counts else "nvml without counter"
    # A sample of power stands for half a period before and after a change.
    tolerance_j = 0.002 if counts else 300.0 * 0.05
    return Rig(
        name,
        Simulated(source),
        clock,
        add,
        lambda: setattr(gpu, "lost", True),
        lambda: setattr(gpu, "lost", False),
        tolerance_j,
        window_s=6.0,
    )


def estimate_rig(root: Path) -> Rig:
    """A core of 15 W / 4; `watts` are drawn by so much CPU time as the model says. CPU time cannot be lost, it can stand still."""
    write_cpuinfo(root, "Intel(R) Core(TM) i7-8565U CPU @ 1.80GHz")
    used_s, lost, clock = 0.0, False, SimulatedClock()

    def add(seconds: float, watts: float) -> None:
        nonlocal used_s
        used_s += 0.0 if lost else seconds * watts / (15.0 / 4.0)

    def set_lost(value: bool) -> None:
        nonlocal lost
        lost = value

    source = EstimateSource(root, cpu_s=lambda: used_s)
    return Rig("estimate", Simulated(source), clock, add, lambda: set_lost(True), lambda: set_lost(False), 1e-6)


def pyrapl_rig(root: Path, patch: pytest.MonkeyPatch) -> Rig:
    """The real package over the same faked tree: its paths are fixed, so its `open` and `exists` are led there."""
    api: Any = pytest.importorskip("pyRAPL.device_api", reason="pyRAPL is not installed: pip install pyRAPL")
    folders = write_zones(root, LAYOUTS["intel 2 sockets"])
    write_packages(root, 2)
    powercap = root / "sys/class/powercap"

    def led(path: str) -> Path:
        """Below /sys/class/powercap/intel-rapl/ the zones stand nested; in the tree they stand flat."""
        parts = Path(path).parts
        if "powercap" not in parts:
            return root / path.lstrip("/")
        below = parts[parts.index("powercap") + 2 :]
        zone = [part for part in below if ":" in part][-1]
        return powercap.joinpath(zone, *[part for part in below if ":" not in part])

    write_present(root, 4)
    patch.setattr(api, "open", lambda path, mode="r": led(path).open(mode), raising=False)
    patch.setattr(api, "os", SimpleNamespace(path=PathModule(led)))
    clock = SimulatedClock()
    joules = dict.fromkeys(folders, 1e5)
    shares = dict.fromkeys(folders, 0.25) | {"intel-rapl:0": 0.5, "intel-rapl:1": 0.5}

    def add(seconds: float, watts: float) -> None:
        for folder, path in folders.items():
            joules[folder] += seconds * watts * shares[folder]
            (path / "energy_uj").write_text(f"{round(joules[folder] * 1e6)}\n")

    source = PyRaplSource(importlib.import_module("pyRAPL"), clock)
    sensor = source._sensor
    energy = sensor.energy

    def lose() -> None:
        def refuse() -> list[float]:
            raise PermissionError(13, "Permission denied")

        sensor.energy = refuse

    return Rig("pyrapl", Simulated(source), clock, add, lose, lambda: setattr(sensor, "energy", energy), 4e-6)


@dataclass
class PathModule:
    """Stands for `os.path` where pyRAPL asks whether a zone exists."""

    led: Callable[[str], Path]

    def exists(self, path: str) -> bool:
        return self.led(path).exists()


def write_present(root: Path, cpus: int) -> None:
    (root / "sys/devices/system/cpu/present").write_text(f"0-{cpus - 1}\n")
