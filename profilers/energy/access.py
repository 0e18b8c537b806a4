"""Why a RAPL counter cannot be read on this machine, and the command that changes it."""

import stat
from pathlib import Path

from paredown.profilers.energy.powercap import Read
from paredown.profilers.energy.tdp import read_processor
from paredown.profilers.energy.zones import POWERCAP, Zone

UDEV_RULE = 'ACTION=="add|change", SUBSYSTEM=="powercap", RUN+="/bin/chmod a+r /sys%p/energy_uj"'
UDEV_FILE = "/etc/udev/rules.d/70-rapl.rules"


def describe_access(zone: Zone, read: Read) -> tuple[bool, str]:
    """Whether the zone's counter can be read, and one line of evidence with mode and owner."""
    try:
        read(zone.energy)
        readable, outcome = True, "readable"
    except OSError as error:
        readable, outcome = False, error.strerror or type(error).__name__
    try:
        status = zone.energy.stat()
        owner = f", {stat.filemode(status.st_mode)}, owner uid {status.st_uid}"
    except OSError:
        owner = ""
    return readable, f"{zone.domain}: {zone.energy} {outcome}{owner}"


def permission_remedy(zones: tuple[Zone, ...]) -> str:
    """Counters are root's alone since CVE-2020-8694 (Linux 5.10): the command for now, and the rule that keeps it over a restart."""
    files = " ".join(str(zone.energy) for zone in zones)
    return f"sudo chmod a+r {files}; to keep it, put this line into {UDEV_FILE}: {UDEV_RULE}"


def absence(root: Path) -> tuple[str, str]:
    """Reason and remedy where there is no package zone."""
    if read_processor(root).virtual:
        reason = "this is a virtual machine (hypervisor flag in /proc/cpuinfo), which has no energy counters of its own"
        return reason, 'measure on the metal, or opt into a model: energy = "estimate" in a study, --energy estimate in paredown profile'
    if not (root / POWERCAP).is_dir():
        reason = f"{root / POWERCAP} is not there (a container hides it, or the kernel was built without CONFIG_POWERCAP)"
        return reason, "measure outside the container, or mount the host's /sys/class/powercap and /sys/devices/virtual/powercap into it"
    reason = f"{root / POWERCAP} holds no package zone: the driver is not loaded, or the processor has none"
    return reason, "sudo modprobe intel_rapl_common && sudo modprobe intel_rapl_msr (AMD too)"
