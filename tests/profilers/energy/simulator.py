"""Counter histories of a simulated machine: what every domain really drew is kept, and what its counters show is served.

Registers count 32 bits in units, are updated each millisecond, and wrap; power moves in steps. Faults: all counters of a machine set back
(with a suspend that the clocks tell, or without), all of one package, permission lost, a counter gone, a reading that is no number, a
counter that stands from the start, a thread that is late. A register that is set back alone is no fault that processors are known for;
it has a test of its own.
"""

import errno
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from paredown.profilers.energy.base import EnergyUnavailable
from paredown.profilers.energy.powercap import PowercapSource, read_counter

UNIT_UJ = 1e6 / 2**14  # Intel's unit of packages, 61 uJ; that of server dram is a quarter
TICK_S = 0.001
FAULTS = ("none", "suspend", "machine reset", "package reset", "permission", "vanished", "garbage", "stopped", "late", "steps of load")


@dataclass
class Register:
    """One counter: joules drawn for real, and what of them the register has counted since it was last set back."""

    units: int  # at the start
    unit_uj: float
    share: float  # of the machine's power
    true_j: float = 0.0
    counted_j: float = 0.0
    stopped: bool = False

    @property
    def range_uj(self) -> int:
        return int((2**32 - 1) * self.unit_uj)

    def draw(self, joules: float) -> None:
        self.true_j += joules
        if not self.stopped:
            self.counted_j += joules

    def value_uj(self) -> int:
        units = (self.units + int(self.counted_j * 1e6 / self.unit_uj)) % 2**32
        return int(units * self.unit_uj)

    def reset(self) -> None:
        self.units, self.counted_j = 0, 0.0


@dataclass
class Machine:
    """Counters by folder name of their zone; `power`: (until, watts) steps; `fault_s`: when the fault comes."""

    registers: dict[str, Register]
    power: list[tuple[float, float]]
    fault: str
    fault_s: float
    victim: str
    now_s: float = 0.0
    asleep_s: float = 0.0
    fired: bool = False
    late_s: float = 0.0
    shown: dict[str, int] = field(default_factory=dict)

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        if not self.fired and self.now_s <= self.fault_s < until_s:
            self._flow(self.fault_s)
            self._fire()
            until_s += self.late_s
        self._flow(until_s)

    def serve(self, path: Path) -> str:
        """What reading a file of the tree gives."""
        register = self.registers[path.parent.name]
        if path.name == "max_energy_range_uj":
            return f"{register.range_uj}\n"
        if self.fired and path.parent.name == self.victim:
            if self.fault == "permission":
                raise PermissionError(errno.EACCES, "Permission denied")
            if self.fault == "vanished":
                raise OSError(errno.ENODEV, "No such device")
            if self.fault == "garbage":
                return ""
        return f"{register.value_uj()}\n"

    def _flow(self, until_s: float) -> None:
        while self.now_s < until_s:
            end_s, watts = next(step for step in self.power if step[0] > self.now_s)
            step_s = min(until_s, end_s) - self.now_s
            for register in self.registers.values():
                register.draw(watts * register.share * step_s)
            self.now_s = min(until_s, end_s)

    def _fire(self) -> None:
        self.fired = True
        if self.fault == "suspend":
            self.asleep_s = 30.0
        if self.fault in ("suspend", "machine reset"):
            for register in self.registers.values():
                register.reset()
        elif self.fault == "package reset":
            for folder, register in self.registers.items():
                if folder.startswith(self.victim):
                    register.reset()
        elif self.fault == "lone reset":
            self.registers[self.victim].reset()
        elif self.fault == "stopped":
            self.registers[self.victim].stopped = True
        elif self.fault == "late":
            self.late_s = 300.0


@dataclass(frozen=True)
class Outcome:
    """`wrong_j`: the largest error beyond what registers resolve, over the domains; None when the window was refused (`reason`)."""

    fault: str
    fired: bool
    wraps: int
    wrong_j: float | None
    reason: str = ""


def random_machine(rng: np.random.Generator, folders: dict[str, str], duration_s: float, fault: str) -> Machine:
    """Half of the registers stand near their end; packages draw 20 to 300 W, others less, in steps for the fault of that name."""
    registers = {}
    for folder, name in folders.items():
        unit_uj = UNIT_UJ / 4 if name == "dram" else UNIT_UJ
        near = rng.random() < 0.5
        joules_left = min(rng.uniform(0.0, 300.0 * duration_s), 2**32 * unit_uj / 1e6) if near else rng.uniform(0.0, 2**32 * unit_uj / 1e6)
        registers[folder] = Register(
            int(2**32 - 1 - joules_left * 1e6 / unit_uj) % 2**32, unit_uj, 1.0 if name.startswith("package") else rng.uniform(0.1, 1.0)
        )
    steps = 1 if fault != "steps of load" else int(rng.integers(2, 30))
    ends = [*np.sort(rng.uniform(0.0, duration_s, steps - 1)).tolist(), math.inf]
    power = [(end, float(rng.uniform(20.0, 300.0))) for end in ends]
    packages = [folder for folder, name in folders.items() if name.startswith("package")]
    victims = packages if fault in ("stopped", "package reset") else list(folders)
    fault_s = 0.0 if fault == "stopped" else float(rng.uniform(0.0, duration_s))
    return Machine(registers, power, fault, fault_s, victims[int(rng.integers(len(victims)))])


def play(machine: Machine, root: Path, duration_s: float, rng: np.random.Generator, on_files: bool = False) -> Outcome:
    """One window over the machine, polled when the source asks for it (a little late), as the meter does it."""
    begun = {folder: (register.units, register.unit_uj) for folder, register in machine.registers.items()}
    read = read_counter if on_files else machine.serve
    if on_files:
        write_out(machine, root)
    source = PowercapSource(root, read, lambda: machine.now_s, lambda: machine.asleep_s)
    try:
        due_s = source.start()
        while machine.now_s + due_s < duration_s:
            machine.pass_time(due_s + float(rng.exponential(0.0005)))
            if on_files:
                write_out(machine, root)
            due_s = source.poll()
        machine.pass_time(max(0.0, duration_s - machine.now_s))
        if on_files:
            write_out(machine, root)
        joules = source.stop()
    except EnergyUnavailable as error:
        return Outcome(machine.fault, machine.fired, 0, None, f"{type(error).__name__}: {error}")
    wraps, wrong_j = 0, 0.0
    for zone in source._zones:
        register = machine.registers[zone.folder.name]
        units, unit_uj = begun[zone.folder.name]
        wrapped = int((units + register.true_j * 1e6 / unit_uj) // 2**32)
        wraps += wrapped
        if zone.domain in joules:
            # A unit at both ends and one a wrap (the kernel gives the largest reading, not the range), and whole microjoules.
            resolution_j = (2 + wrapped) * (unit_uj + 1.0) / 1e6
            wrong_j = max(wrong_j, abs(joules[zone.domain] - register.true_j) - resolution_j)
        elif zone.counted or register.true_j > 1e-3:
            wrong_j = math.inf  # left out although it drew
    return Outcome(machine.fault, machine.fired, wraps, max(0.0, wrong_j))


def write_out(machine: Machine, root: Path) -> None:
    """The same on real files; a fault that a file cannot show is shown by its absence."""
    for folder, register in machine.registers.items():
        path = root / "sys/class/powercap" / folder
        (path / "max_energy_range_uj").write_text(f"{register.range_uj}\n")
        try:
            (path / "energy_uj").write_text(machine.serve(path / "energy_uj"))
        except OSError:
            (path / "energy_uj").unlink(missing_ok=True)
