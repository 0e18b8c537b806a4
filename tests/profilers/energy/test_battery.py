from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.base import CounterReset, CounterTooCoarse, StateChanged
from paredown.profilers.energy.battery import BatteryLook, BatterySource
from tests.profilers.energy.rigs import Rig, SimulatedClock, battery_rig
from tests.profilers.energy.trees import write_battery, write_charger


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return battery_rig(tmp_path, by_charge=False)


def test_several_batteries_are_told_apart_and_the_mouse_is_not_one(rig: Rig) -> None:
    rig.source.start()
    rig.draw(300.0, 30.0)
    assert rig.source.stop() == {"BAT0": pytest.approx(9000.0, abs=72.0), "BAT1": 0.0}


def test_a_window_of_few_steps_says_how_long_it_must_run(rig: Rig) -> None:
    rig.source.start()
    rig.draw(20.0, 30.0)  # 600 J in looks of 150 J
    with pytest.raises(CounterTooCoarse, match=r"a step may be 5% of it at most, run for \d+ s at least"):
        rig.source.stop()


def test_plugging_in_ends_it(rig: Rig, tmp_path: Path) -> None:
    rig.source.start()
    rig.draw(300.0, 30.0)
    write_charger(tmp_path, online=True)
    with pytest.raises(StateChanged, match="AC is plugged in"):
        rig.source.stop()


def test_charging_ends_it(rig: Rig, tmp_path: Path) -> None:
    rig.source.start()
    (tmp_path / "sys/class/power_supply/BAT0/status").write_text("Charging")
    with pytest.raises(StateChanged, match="BAT0 is charging"):
        rig.source.stop()


def test_a_gauge_that_rises_is_refused(rig: Rig, tmp_path: Path) -> None:
    rig.source.start()
    (tmp_path / "sys/class/power_supply/BAT0/energy_now").write_text("50100000")
    with pytest.raises(CounterReset, match="BAT0 holds 360 J more"):
        rig.source.stop()


def test_power_that_contradicts_the_counter_is_refused(rig: Rig, tmp_path: Path) -> None:
    rig.source.start()
    for _ in range(60):
        rig.draw(4.9, 30.0)
        (tmp_path / "sys/class/power_supply/BAT0/power_now").write_text("10000000")
        rig.source.poll()
    with pytest.raises(StateChanged, match="one of them is wrong"):
        rig.source.stop()


def test_a_long_gap_between_looks_is_refused(tmp_path: Path) -> None:
    write_battery(tmp_path)
    clock = SimulatedClock()
    source = BatterySource(tmp_path, clock=clock, slept=lambda: 0.0)
    source.start()
    clock.sleep(100.0)
    with pytest.raises(StateChanged, match="not looked at for 100 s"):
        source.stop()


def test_a_machine_that_is_plugged_in_is_bad_input(tmp_path: Path) -> None:
    write_battery(tmp_path)
    write_charger(tmp_path, online=True)
    with pytest.raises(BadInput, match="AC is plugged in: unplug the charger"):
        BatterySource(tmp_path)


def test_a_battery_without_counter_is_bad_input(tmp_path: Path) -> None:
    write_battery(tmp_path, energy_now=None, charge_now=4_000_000)
    with pytest.raises(BadInput, match="energy_now, or charge_now and voltage_now; BAT0 has not"):
        BatterySource(tmp_path)


def test_charge_counts_at_the_mean_voltage_of_two_looks() -> None:
    before, after = BatteryLook(7200.0, 12.0, None), BatteryLook(3600.0, 11.0, None)
    assert after.drained_j(before) == pytest.approx(3600.0 * 11.5)
