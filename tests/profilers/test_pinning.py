"""Which cores are chosen, on faked machines; and that pinning holds for all threads and ends."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paredown.profilers.pinning import choose_cores, pinned

needs_pinning = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to cores")


def write_cores(root: Path, physical: list[int], fastest_khz: list[int] | None = None) -> Path:
    """A faked /sys: the physical core of each logical one, and its highest clock."""
    for core, place in enumerate(physical):
        folder = root / f"sys/devices/system/cpu/cpu{core}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/core_id").write_text(f"{place}\n")
        (folder / "topology/physical_package_id").write_text("0\n")
        if fastest_khz:
            (folder / "cpufreq").mkdir()
            (folder / "cpufreq/cpuinfo_max_freq").write_text(f"{fastest_khz[core]}\n")
    return root


def test_one_logical_core_of_each_physical_one(tmp_path: Path) -> None:
    root = write_cores(tmp_path, [0, 0, 1, 1, 2, 2])
    everywhere = frozenset(range(6))
    assert choose_cores(1, everywhere, root) == (5,)  # the first serves most interrupts
    assert choose_cores(3, everywhere, root) == (1, 3, 5)
    assert choose_cores(4, everywhere, root) == (1, 3, 4, 5)  # a sibling only where no physical core is left
    assert choose_cores(2, frozenset({0, 1, 2}), root) == (1, 2)  # only where the process may run
    assert choose_cores(9, everywhere, root) == (0, 1, 2, 3, 4, 5)


def test_the_fastest_cores_come_first(tmp_path: Path) -> None:
    """Two fast cores with siblings, four slow ones without, as laptops have them."""
    root = write_cores(tmp_path, [0, 0, 1, 1, 2, 3, 4, 5], [5_000_000] * 4 + [3_000_000] * 4)
    assert choose_cores(2, frozenset(range(8)), root) == (1, 3)
    assert choose_cores(3, frozenset(range(8)), root) == (1, 3, 7)


@given(st.integers(1, 20), st.frozensets(st.integers(0, 200), min_size=1))
def test_without_a_topology_every_core_counts(count: int, allowed: frozenset[int]) -> None:
    chosen = choose_cores(count, allowed, Path("/nowhere"))
    assert set(chosen) <= allowed
    assert len(chosen) == len(set(chosen)) == min(count, len(allowed))


def test_no_core_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1 core, got 0"):
        choose_cores(0, frozenset({0}), tmp_path)


@needs_pinning
def test_all_threads_are_pinned_and_released_also_after_an_error() -> None:
    before = os.sched_getaffinity(0)
    asked, answered, seen = threading.Event(), threading.Event(), list[set[int]]()

    def tell() -> None:
        asked.wait()
        seen.append(os.sched_getaffinity(0))
        answered.set()

    other = threading.Thread(target=tell)
    other.start()

    def fail() -> None:
        with pinned(1) as cores:
            asked.set()
            answered.wait()
            seen.append(os.sched_getaffinity(0))
            seen.append(set(cores or ()))
            raise RuntimeError("fault")

    with pytest.raises(RuntimeError, match="fault"):
        fail()
    other.join()
    in_other, in_this, cores = seen
    assert in_other == in_this == cores
    assert len(cores) == 1
    assert os.sched_getaffinity(0) == before


@needs_pinning
def test_a_system_that_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError

    before = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with pinned(1) as cores:
        assert cores is None
    assert os.sched_getaffinity(0) == before


def test_a_system_without_pinning_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with pinned(1) as cores:
        assert cores is None
