"""Who else used the machine meanwhile: a benchmark on a busy machine says so instead of favouring whoever bears it best."""

import os
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
TOLERATED = 0.05


@dataclass(frozen=True)
class MachineWatch:
    """Processor seconds at one moment: of all processors busy, of this process and its children, and elapsed of all processors."""

    busy_s: float
    own_s: float
    all_s: float

    @classmethod
    def now(cls, stat: Path = _STAT) -> "MachineWatch | None":
        """None where the system does not tell (it is no Linux)."""
        if not stat.exists():
            return None
        ticks = [int(entry) for entry in stat.read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
        user, nice, system, idle, waiting, irq, soft_irq, steal = (count / os.sysconf("SC_CLK_TCK") for count in ticks)
        busy = user + nice + system + irq + soft_irq + steal
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return cls(busy, own, busy + idle + waiting)

    def others_since(self, earlier: "MachineWatch") -> float:
        """The share of all processors that others had since then: processes, and guests of the same host."""
        elapsed = self.all_s - earlier.all_s
        return max(0.0, (self.busy_s - earlier.busy_s) - (self.own_s - earlier.own_s)) / elapsed if elapsed > 0 else 0.0


def tell_others(began: MachineWatch | None, part: str) -> str:
    """One line about the time since `began`; what it says when the share is too large is that the figures mean nothing."""
    now = MachineWatch.now()
    if began is None or now is None:
        return f"  (who else used the machine during {part} is not known here)"
    share = now.others_since(began)
    verdict = "" if share <= TOLERATED else f", more than {100 * TOLERATED:.0f} %: DO NOT TRUST these figures"
    return f"  (others had {100 * share:.1f} % of the machine during {part}{verdict})"
