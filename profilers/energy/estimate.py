"""An estimate where there is no counter: CPU seconds of this process times the thermal design power of one core.

It is a model and no measurement, used only when asked for, and labelled "estimated" everywhere. What it is blind to:

- clocks and voltage: a core at its lowest clock and one that boosts count alike; boost may draw twice the design power;
- what the cores do: wide vector instructions draw more than waiting for memory, both are a busy core;
- memory, screen, disk, fans, power supply, and the uncore while no core of ours is busy;
- two threads on one core: each counts as a whole core;
- other processes; and children of this process until they have ended and were waited for;
- sleep states: an idle core counts nothing.

So it follows CPU time exactly: two candidates differ in it as their CPU time does, and in nothing else.
Thermal design power divided by cores: the table gives watts per package, /proc/cpuinfo the physical cores of all packages. In a virtual
machine /proc/cpuinfo shows the guest's cores, which are a part of the package's, unknown how large: there both figures must be given.
"""

import math
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from paredown.errors import BadInput
from paredown.profilers.energy.base import CounterStill, EnergySource
from paredown.profilers.energy.tdp import TABLE, find_tdp_w, read_processor
from paredown.profilers.measurement import DetailValue

_WHERE = " ([target] of a study; --tdp and --tdp-cores of paredown profile)"


def process_cpu_s() -> float:
    """CPU seconds of this process, all threads, in user and kernel, with its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def core_power_w(root: Path, tdp_w: float | None, cores: int | None) -> tuple[float, str]:
    """Watts of one busy core, and in words where they come from.

    `tdp_w`: watts of one package, else from the table; `cores`: physical cores of one package, else from /proc/cpuinfo.
    Raises BadInput where one of them is not known, with what to give.
    """
    processor = read_processor(root)
    name = processor.model or "an unnamed processor"
    for what, given in (("tdp_w", tdp_w), ("tdp_cores", cores)):
        if given is not None and not 0 < given < math.inf:
            raise BadInput(f"{what} must be above 0, got {given:g}")
    if cores is None and processor.virtual:
        raise BadInput(
            f"cores of a virtual machine are not those of its processor ({name}): give tdp_w and tdp_cores of the package{_WHERE}"
        )
    if cores is None and not processor.cores:
        raise BadInput(f"/proc/cpuinfo does not tell the cores of {name}: give tdp_w and tdp_cores{_WHERE}")
    source = "given"
    if tdp_w is None:
        tdp_w, source = find_tdp_w(processor.model), TABLE
    if tdp_w is None:
        raise BadInput(
            f"the table has no thermal design power of {name}: give it as tdp_w, in watts (the maker's data sheet tells){_WHERE}"
        )
    per_package = processor.cores / processor.sockets if cores is None else cores
    return tdp_w / per_package, f"{tdp_w:g} W ({source}) over {per_package:g} cores"


class EstimateSource(EnergySource):
    """`tdp_w`, `tdp_cores`: of one package, where the machine or the table does not tell; `cpu_s`: CPU seconds used so far.

    Raises BadInput where the power of a core is not known.
    """

    name = "estimate"
    label = "estimate (CPU time x thermal design power)"
    target = "cpu"
    provenance = "estimated"
    domains = ("cpu",)
    counted = ("cpu",)

    def __init__(
        self,
        root: Path = Path("/"),
        tdp_w: float | None = None,
        tdp_cores: int | None = None,
        cpu_s: Callable[[], float] = process_cpu_s,
    ) -> None:
        self.core_w, basis = core_power_w(root, tdp_w, tdp_cores)
        self.method = f"CPU seconds x {self.core_w:.4g} W a core: {basis}"
        self._cpu_s = cpu_s
        self._start_s = self._used_s = 0.0

    def start(self) -> float:
        self._start_s = self._cpu_s()
        return math.inf

    def poll(self) -> float:
        return math.inf

    def stop(self) -> Mapping[str, float]:
        self._used_s = self._cpu_s() - self._start_s
        if self._used_s <= 0.0:
            raise CounterStill("this process used no CPU time through the whole window: the work was done elsewhere")
        return {"cpu": self._used_s * self.core_w}

    def detail(self) -> tuple[tuple[str, DetailValue], ...]:
        return (("cpu_s", self._used_s), ("core_w", self.core_w))
