"""Who else used the machine meanwhile: a measurement on a busy machine says so instead of favouring whoever bears it best."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TOLERATED = 0.05  # share of all processors that others may have had before a figure is flagged


@dataclass(frozen=True)
class MachineWatch:
    """Processor seconds at one moment: of all processors busy, of this process and its children, and elapsed of all processors."""

    busy_s: float
    own_s: float
    all_s: float

    @classmethod
    def now(cls, root: Path = Path("/")) -> Self | None:
        """None where the system does not tell (it is no Linux). `root`: where /proc is looked up; tests put a faked one there."""
        try:
            line = (root / "proc/stat").read_text(encoding="utf-8").splitlines()[0]
        except OSError:
            return None
        user, nice, system, idle, waiting, irq, soft_irq, steal = (int(entry) / os.sysconf("SC_CLK_TCK") for entry in line.split()[1:9])
        busy = user + nice + system + irq + soft_irq + steal
        return cls(busy, own_seconds(root), busy + idle + waiting)

    def others_since(self, earlier: Self) -> float | None:
        """The share of all processors that others had since then: processes, and guests of the same host.

        None where no time went by: some containers show a /proc/stat that does not move.
        """
        elapsed = self.all_s - earlier.all_s
        return max(0.0, (self.busy_s - earlier.busy_s) - (self.own_s - earlier.own_s)) / elapsed if elapsed > 0 else None


def own_seconds(root: Path = Path("/")) -> float:
    """Processor seconds of this process and of all its descendants, those that live and those that were waited for.

    `os.times` counts a child only once it has been waited for; a worker that lives stands in /proc alone. A child that ends between two
    readings moves from one to the other, so differences hold it once.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system + _living_descendants_s(os.getpid(), root)


def _living_descendants_s(pid: int, root: Path) -> float:
    used: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for entry in (root / "proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended meanwhile
            continue
        fields = text.rpartition(")")[2].split()  # the name before may hold spaces; fields[0] is the state (field 3 of proc(5))
        number = int(entry.parent.name)
        children.setdefault(int(fields[1]), []).append(number)
        used[number] = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    total, open_ = 0.0, list(children.get(pid, ()))
    while open_:
        number = open_.pop()
        total += used[number]
        open_ += children.get(number, ())
    return total
