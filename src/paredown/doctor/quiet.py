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
    with pinned(1) as cores:
        if cores is None:
            enable = "allow sched_setaffinity (a container may forbid it); unpinned runs are moved between cores and vary more"
            yield Finding(SECTION, "pinning", "limited", "refused", "sched_setaffinity was tried", enable)
        else:
            yield Finding(SECTION, "pinning", "ok", "allowed", f"this process was pinned to core {cores[0]}")
    yield _lock(path or lock_path())


def _load(watch: Callable[[], MachineWatch | None], sleep: Callable[[float], None]) -> Finding:
    before = watch()
    sleep(LOOK_S)
    after = watch()
    if before is None or after is None:
        return Finding(SECTION, "other load", "limited", "not told", "no /proc/stat", "look yourself: foreign load is not noticed here")
    share = after.others_since(before)
    evidence = f"others had {100 * share:.1f} % of all cores for {LOOK_S:g} s (/proc/stat)"
    if share <= TOLERATED:
        return Finding(SECTION, "other load", "ok", "little", evidence)
    return Finding(SECTION, "other load", "limited", "busy", evidence, "close what else runs (top shows it) before you measure")


def _lock(path: Path) -> Finding:
    try:
        with machine_lock(timeout_s=0.0, path=path):
            return Finding(SECTION, "machine lock", "ok", "free", f"{path} was taken and given back")
    except BadInput as error:
        return Finding(SECTION, "machine lock", "limited", "held or not usable", str(error), "wait until the other measurement has ended")
