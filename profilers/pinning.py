"""Pins this process to as many cores as it has threads, so that no run is moved between cores in its middle.

One logical core of each physical core, because two on one share its units; the fastest ones where cores differ, and among equal ones the
last, because the first serves most interrupts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.profilers.system_files import read_text


def choose_cores(count: int, allowed: frozenset[int], root: Path = Path("/")) -> tuple[int, ...]:
    """The `count` logical cores to pin to, ascending; siblings only where there are not so many physical cores.

    `allowed`: where this process may run. `root`: where /sys is looked up. Raises ValueError on a count below 1.
    """
    if count < 1:
        raise ValueError(f"a process is pinned to at least 1 core, got {count}")
    folder = root / "sys/devices/system/cpu"
    fastest_first = sorted(allowed, key=lambda core: (-_fastest_khz(folder / f"cpu{core}"), -core))
    seen: set[tuple[str, str]] = set()
    first: list[int] = []
    siblings: list[int] = []
    for core in fastest_first:
        place = _physical(folder / f"cpu{core}", core)
        (siblings if place in seen else first).append(core)
        seen.add(place)
    return tuple(sorted((first + siblings)[:count]))


@contextmanager
def pinned(count: int, root: Path = Path("/")) -> Iterator[tuple[int, ...] | None]:
    """Pins all threads of this process until the block ends; yields the cores, or None where the system refuses or knows no pinning.

    Threads that start meanwhile inherit it. Afterwards every thread may run where the process could before.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    cores = choose_cores(count, frozenset(before), root)
    try:
        _pin(set(cores))
    except OSError:  # a container may forbid it
        _restore(before)
        yield None
        return
    try:
        yield cores
    finally:
        _restore(before)


def _pin(cores: set[int]) -> None:
    """Of every thread: `sched_setaffinity(0)` moves the calling one alone."""
    os.sched_setaffinity(0, cores)
    for thread in _threads():
        try:
            os.sched_setaffinity(thread, cores)
        except ProcessLookupError:  # it ended meanwhile
            continue


def _restore(cores: set[int]) -> None:
    try:
        _pin(cores)
    except OSError:
        return


def _threads() -> tuple[int, ...]:
    try:
        return tuple(int(name) for name in os.listdir("/proc/self/task"))
    except OSError:
        return ()


def _physical(folder: Path, core: int) -> tuple[str, str]:
    """Package and core; a core of its own where the topology cannot be read."""
    package, number = read_text(folder / "topology/physical_package_id"), read_text(folder / "topology/core_id")
    return (package, number) if package is not None and number is not None else ("unknown", str(core))


def _fastest_khz(folder: Path) -> int:
    """0 where it is not told, which then holds for all."""
    text = read_text(folder / "cpufreq/cpuinfo_max_freq")
    return int(text) if text is not None and text.isdigit() else 0
