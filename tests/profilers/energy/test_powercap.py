from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.base import CounterReset, CounterStill, DomainVanished, WrapUnresolved
from paredown.profilers.energy.counter import DENSE_S, CounterRange, WrappingCounter
from paredown.profilers.energy.powercap import PowercapSource
from paredown.profilers.energy.zones import count_packages, find_zones, packages_of
from tests.profilers.energy.trees import LAYOUTS, write_packages, write_zones

LIMITS = CounterRange("package-0", 65_000_000_000, 1000.0)


@pytest.mark.parametrize(
    ("layout", "domains", "counted"),
    [
        ("intel laptop", ("package-0", "core-0", "psys", "uncore-0"), ("package-0",)),
        ("intel laptop twice", ("package-0", "core-0"), ("package-0",)),
        ("intel 2 sockets", ("package-0", "package-1", "dram-0", "dram-1", "psys"), ("package-0", "package-1")),
        ("amd", ("package-0", "core-0"), ("package-0",)),
    ],
)
def test_domains_of_machines(tmp_path: Path, layout: str, domains: tuple[str, ...], counted: tuple[str, ...]) -> None:
    write_zones(tmp_path, LAYOUTS[layout])
    source = PowercapSource(tmp_path)
    assert (source.domains, source.counted) == (domains, counted)


def test_the_memory_mapped_copy_is_not_the_one_that_is_read(tmp_path: Path) -> None:
    write_zones(tmp_path, LAYOUTS["intel laptop twice"])
    assert [zone.folder.name for zone in find_zones(tmp_path)] == ["intel-rapl:0", "intel-rapl:0:0"]


def test_the_memory_mapped_copy_serves_where_it_is_alone(tmp_path: Path) -> None:
    write_zones(tmp_path, {"intel-rapl-mmio:0": "package-0"})
    assert PowercapSource(tmp_path).counted == ("package-0",)


def test_dies_of_one_package_are_one_package(tmp_path: Path) -> None:
    write_zones(tmp_path, {"intel-rapl:0": "package-0-die-0", "intel-rapl:1": "package-0-die-1"})
    write_packages(tmp_path, 1)
    assert packages_of(find_zones(tmp_path)) == count_packages(tmp_path) == 1
    assert len(PowercapSource(tmp_path).counted) == 2


def test_a_part_that_cannot_be_read_is_left_out_and_a_package_is_not(tmp_path: Path) -> None:
    folders = write_zones(tmp_path, LAYOUTS["amd"])
    (folders["intel-rapl:0:0"] / "energy_uj").unlink()
    assert PowercapSource(tmp_path).domains == ("package-0",)
    (folders["intel-rapl:0"] / "energy_uj").unlink()
    with pytest.raises(DomainVanished, match=r"package-0: .*energy_uj cannot be read"):
        PowercapSource(tmp_path)


def test_no_tree_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="found none"):
        PowercapSource(tmp_path)


def test_a_suspend_is_refused(tmp_path: Path) -> None:
    folders = write_zones(tmp_path, LAYOUTS["amd"])
    slept = [0.0]
    source = PowercapSource(tmp_path, slept=lambda: slept[0])
    source.start()
    (folders["intel-rapl:0"] / "energy_uj").write_text("100000500000")
    slept[0] = 5.0
    with pytest.raises(CounterReset, match="slept 5 s"):
        source.stop()


def test_a_part_that_stands_is_left_out(tmp_path: Path) -> None:
    folders = write_zones(tmp_path, LAYOUTS["amd"])
    source = PowercapSource(tmp_path)
    source.start()
    (folders["intel-rapl:0"] / "energy_uj").write_text("100000002000")
    assert source.stop() == {"package-0": 0.002}


def test_a_package_that_stands_is_refused(tmp_path: Path) -> None:
    write_zones(tmp_path, LAYOUTS["amd"])
    source = PowercapSource(tmp_path)
    source.start()
    with pytest.raises(CounterStill, match="package-0 did not move"):
        source.stop()


def dense(counter: WrappingCounter, begin_uj: int, looks: int, power_w: float) -> float:
    """Looks as far apart as near an end of the range; returns the time of the last."""
    for look in range(1, looks + 1):
        counter.look(begin_uj + round(look * DENSE_S * power_w * 1e6), look * DENSE_S)
    return looks * DENSE_S


def test_a_wrap_is_counted_to_the_joule() -> None:
    step_uj = round(20.0 * DENSE_S * 1e6)
    begin_uj = LIMITS.range_uj - 10 * step_uj - 1000
    counter = WrappingCounter(LIMITS, begin_uj, 0.0)
    now_s = dense(counter, begin_uj, 10, 20.0)  # a millijoule before the end
    counter.look(step_uj - 1000, now_s + DENSE_S)
    assert counter.total_uj == 11 * step_uj


def test_a_fall_that_needs_more_power_than_there_is_was_a_reset() -> None:
    counter = WrappingCounter(LIMITS, 30_000_000_000, 0.0)
    with pytest.raises(CounterReset, match="a wrap would take 35000"):
        counter.look(100_000, 1.0)


def test_a_fall_that_needs_far_more_power_than_just_before_is_not_believed() -> None:
    begin_uj = LIMITS.range_uj - 40_000_000
    counter = WrappingCounter(LIMITS, begin_uj, 0.0)
    now_s = dense(counter, begin_uj, 10, 20.0)
    with pytest.raises(WrapUnresolved, match="at 20 W just before"):
        counter.look(100_000, now_s + DENSE_S)


def test_a_gap_in_which_a_wrap_may_hide_is_refused() -> None:
    counter = WrappingCounter(LIMITS, 1_000_000_000, 0.0)
    with pytest.raises(WrapUnresolved, match="may have wrapped unseen"):
        counter.look(1_000_000_500, 65.0)


def test_a_rise_that_no_power_explains_is_refused() -> None:
    counter = WrappingCounter(LIMITS, 1_000_000_000, 0.0)
    with pytest.raises(CounterReset, match="more than any power explains"):
        counter.look(4_000_000_000, 1.0)


def test_a_reading_beyond_the_range_is_refused() -> None:
    with pytest.raises(CounterReset, match="must read 0 to 65000000000 uJ, got 65000000001"):
        WrappingCounter(LIMITS, LIMITS.range_uj + 1, 0.0)


@pytest.mark.parametrize("value_uj", [0, 10_000_000, 1_000_000_000, 32_500_000_000, 64_999_000_000])
def test_the_maximum_power_reaches_no_end_before_the_next_look(value_uj: int) -> None:
    counter = WrappingCounter(LIMITS, value_uj, 0.0)
    reach_uj = max(counter.due_s(), DENSE_S) * LIMITS.max_power_w * 1e6
    to_end_uj = min(value_uj, LIMITS.range_uj - value_uj)
    assert reach_uj <= to_end_uj or counter.due_s() == DENSE_S
