"""Which energy sources this machine has, with evidence, and what to do where it has none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paredown.errors import BadInput
from paredown.profilers.energy.access import absence, describe_access, permission_remedy
from paredown.profilers.energy.base import EnergySource, EnergyUnavailable, SourceProvenance, TargetKind
from paredown.profilers.energy.battery import BatterySource
from paredown.profilers.energy.estimate import EstimateSource
from paredown.profilers.energy.nvml import REMEDY as NVML_REMEDY
from paredown.profilers.energy.nvml import NvmlSource, load_nvml
from paredown.profilers.energy.powercap import PowercapSource, Read, read_counter
from paredown.profilers.energy.pyrapl import REMEDY as PYRAPL_REMEDY
from paredown.profilers.energy.pyrapl import PyRaplSource, load_pyrapl
from paredown.profilers.energy.supplies import SUPPLIES, find_batteries, has_counter, plugged_in
from paredown.profilers.energy.zones import count_packages, find_zones, packages_of

NAMES = ("rapl", "pyrapl", "battery", "nvml", "estimate")
# What a target is measured with when nothing is asked for; a model, a battery and pyRAPL are only used when they are named.
DEFAULTS: dict[str, str] = {"cpu": "rapl", "cuda": "nvml", "machine": "battery"}
_TARGETS: dict[str, TargetKind] = {"rapl": "cpu", "pyrapl": "cpu", "battery": "machine", "nvml": "cuda", "estimate": "cpu"}


@dataclass(frozen=True)
class SourceState:
    """One source on this machine. `evidence`: lines; `reason` and `remedy`: one line each, where it is not available, else empty."""

    name: str
    target: TargetKind
    available: bool
    provenance: SourceProvenance
    evidence: tuple[str, ...]
    reason: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.available == bool(self.reason):
            raise ValueError(f"an energy source has a reason exactly when it is not available, got {self.reason!r} for {self.name}")


def find_sources(root: Path = Path("/"), nvml: Any = None, read: Read = read_counter) -> tuple[SourceState, ...]:
    """Every source, available or not. `nvml`: the module `pynvml` (else it is imported); tests put a fake there, and a tree at `root`."""
    return (_rapl(root, read), _pyrapl(), _battery(root, read), _nvml(nvml), _estimate(root))


def open_source(
    target: str,
    name: str | None = None,
    *,
    tdp_w: float | None = None,
    tdp_cores: int | None = None,
    root: Path = Path("/"),
    nvml: Any = None,
    index: int = 0,
) -> EnergySource:
    """The source that measures a target ("cpu", "cuda", "machine"); `name` chooses another than the usual one.

    Raises BadInput where there is none: one line with the reason and what to do. An estimate is given to nobody who did not ask for it.
    """
    if target not in DEFAULTS:
        raise BadInput(f"energy is measured on {', '.join(DEFAULTS)}; got {target!r}")
    name = DEFAULTS[target] if name is None else name
    if name not in NAMES:
        raise BadInput(f"an energy source is one of {', '.join(NAMES)}; got {name!r}")
    if _TARGETS[name] != target:
        raise BadInput(f"energy source {name} measures {_TARGETS[name]}, not {target}")
    make: dict[str, Callable[[], EnergySource]] = {
        "rapl": lambda: PowercapSource(root),
        "pyrapl": PyRaplSource,
        "battery": lambda: BatterySource(root),
        "nvml": lambda: NvmlSource(nvml, index),
        "estimate": lambda: EstimateSource(root, tdp_w, tdp_cores),
    }
    if name != "estimate":
        state = _STATES[name](root, nvml)
        if not state.available:
            raise BadInput(f"energy of {target} cannot be measured with {name}: {state.reason}; {state.remedy}")
    try:
        return make[name]()
    except EnergyUnavailable as error:
        raise BadInput(f"energy of {target} cannot be measured with {name}: {error}") from None


def _rapl(root: Path, read: Read) -> SourceState:
    zones = find_zones(root)
    packages = tuple(zone for zone in zones if zone.counted)
    looked = [describe_access(zone, read) for zone in zones]
    evidence = tuple(line for _, line in looked)
    if not packages:
        return SourceState("rapl", "cpu", False, "measured", evidence, *absence(root))
    sockets = count_packages(root)
    if sockets is not None and packages_of(zones) < sockets:
        reason = f"{sockets} processor packages are online and only {', '.join(zone.domain for zone in packages)} has a counter"
        return SourceState("rapl", "cpu", False, "measured", evidence, reason, "sudo modprobe intel_rapl_msr")
    closed = tuple(zone for zone, (readable, _) in zip(zones, looked, strict=True) if not readable)
    if any(zone.counted for zone in closed):
        reason = "energy counters are readable by root alone since CVE-2020-8694 (or the kernel refuses them)"
        return SourceState("rapl", "cpu", False, "measured", evidence, reason, permission_remedy(closed))
    try:
        source = PowercapSource(root, read)
    except (BadInput, EnergyUnavailable) as error:
        return SourceState(
            "rapl", "cpu", False, "measured", evidence, str(error), "sudo modprobe -r intel_rapl_msr; sudo modprobe intel_rapl_msr"
        )
    return SourceState("rapl", "cpu", True, "measured", (f"domains {', '.join(source.domains)}", *evidence))


def _pyrapl() -> SourceState:
    try:
        module = load_pyrapl()
    except BadInput:
        return SourceState(
            "pyrapl", "cpu", False, "measured", (), "the package pyRAPL is not installed (rapl does not need it)", PYRAPL_REMEDY
        )
    evidence = (f"pyRAPL {module.__version__}",)
    try:
        source = PyRaplSource(module)
    except (BadInput, EnergyUnavailable) as error:
        return SourceState("pyrapl", "cpu", False, "measured", evidence, str(error), "see rapl: it reads the same counters")
    return SourceState("pyrapl", "cpu", True, "measured", (*evidence, f"domains {', '.join(source.domains)}"))


def _battery(root: Path, read: Read) -> SourceState:
    batteries = find_batteries(root, read)
    evidence = tuple(f"{battery.name}: {battery}" for battery in batteries)
    if not batteries:
        reason = f"no battery below {root / SUPPLIES}"
        return SourceState(
            "battery", "machine", False, "measured", (), reason, "nothing helps here: a laptop has one, a desktop or server has none"
        )
    if not all(has_counter(battery) for battery in batteries):
        reason = "a battery tells neither energy_now nor charge_now with voltage_now"
        return SourceState("battery", "machine", False, "measured", evidence, reason, "nothing helps here: the firmware does not tell")
    obstacle = plugged_in(root, read)
    if obstacle is not None:
        return SourceState("battery", "machine", False, "measured", evidence, obstacle, "unplug the charger and measure on the battery")
    return SourceState("battery", "machine", True, "measured", evidence)


def _nvml(nvml: Any) -> SourceState:
    try:
        module = load_nvml() if nvml is None else nvml
    except BadInput:
        return SourceState("nvml", "cuda", False, "measured", (), "the package nvidia-ml-py is not installed", NVML_REMEDY)
    try:
        source = NvmlSource(module)
    except BadInput as error:
        hidden = "show the GPU in CUDA_VISIBLE_DEVICES, or unset it"
        remedy = hidden if "CUDA_VISIBLE_DEVICES" in str(error) else "install the NVIDIA driver; in a container, start it with --gpus all"
        return SourceState("nvml", "cuda", False, "measured", (), str(error), remedy)
    try:
        return SourceState("nvml", "cuda", True, "measured", source.describe())
    finally:
        source.close()


def _estimate(root: Path) -> SourceState:
    try:
        source = EstimateSource(root)
    except BadInput as error:
        remedy = "give tdp_w and tdp_cores: watts and physical cores of one processor package, from its data sheet"
        return SourceState("estimate", "cpu", False, "estimated", (), str(error), remedy)
    return SourceState("estimate", "cpu", True, "estimated", (source.method, 'only on request: energy = "estimate"'))


_STATES: dict[str, Callable[[Path, Any], SourceState]] = {
    "rapl": lambda root, _: _rapl(root, read_counter),
    "pyrapl": lambda _, __: _pyrapl(),
    "battery": lambda root, _: _battery(root, read_counter),
    "nvml": lambda _, nvml: _nvml(nvml),
}
