"""Whether measurements have the machine to themselves: other load, pinning, the lock that keeps paredown's own work away."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from paredown.doctor.finding import Finding
from paredown.errors import BadInput
from paredown.profilers.machine_load import TOLERATED, MachineWatch
from paredown.profilers.machine_lock import lock_path, machine_lock
from paredown.profilers.pinning import pinned

SECTION = "quiet"
LOOK_S = 0.5


def look_at_quiet(
    watch: Callable[[], MachineWatch | None] = MachineWatch.now, sleep: Callable[[float], None] = time.sleep, path: Path | None = None
) -> Iterator[Finding]:
    """Looks for half a second who else uses the machine. `watch`, `sleep` and the lock's `path` are for tests."""
    yield _load(watch, sleep)
    yield _pinning()
    yield _lock(path or lock_path())


def _pinning() -> Finding:
    with pinned(1) as cores:
        pass
    if cores is None:
        enable = "allow sched_setaffinity (a container may forbid it); unpinned runs are moved between cores and vary more"
        return Finding(SECTION, "pinning", "limited", "refused", "sched_setaffinity was tried", enable)
    return Finding(SECTION, "pinning", "ok", "allowed", f"this process was pinned to core {cores[0]}")


def _load(watch: Callable[[], MachineWatch | None], sleep: Callable[[float], None]) -> Finding:
    before = watch()
    sleep(LOOK_S)
    after = watch()
    share = None if before is None or after is None else after.others_since(before)
    if share is None:
        evidence = "no /proc/stat, or one that stands still"
        return Finding(SECTION, "other load", "limited", "not told", evidence, "look yourself: foreign load is not noticed here")
    evidence = f"others had {100 * share:.1f} % of all cores for {LOOK_S:g} s (/proc/stat)"
    if share <= TOLERATED:
        return Finding(SECTION, "other load", "ok", "little", evidence)
    return Finding(SECTION, "other load", "limited", "busy", evidence, "close what else runs (top shows it) before you measure")


def _lock(path: Path) -> Finding:
    try:
        with machine_lock(timeout_s=0.0, path=path):
            return Finding(SECTION, "machine lock", "ok", "free", f"{path} was taken and given back")
    except BadInput as error:
        return Finding(
            SECTION,
            "machine lock",
            "limited",
            "held or not usable",
            str(error),
            "wait until the other measurement or work has ended",
        )
