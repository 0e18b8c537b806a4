import math
import time
from collections.abc import Mapping

import pytest

from paredown.profilers.energy.base import CounterReset, EnergySource, WindowTooShort
from paredown.profilers.energy.idle import IdlePower, measure_idle
from paredown.profilers.energy.meter import EnergyWindow, Meter, measure_window


class Steady(EnergySource):
    """20 W in real time, looked at every hundredth of a second; fails at a chosen look."""

    name, label, target, provenance, method = "rapl", "steady", "cpu", "measured", "a fake"
    domains, counted, min_window_s = ("package-0", "dram-0"), ("package-0",), 0.05

    def __init__(self, fail_at: int | None = None) -> None:
        self.looks, self.fail_at, self.begin_s = 0, fail_at, 0.0

    def start(self) -> float:
        self.looks, self.begin_s = 0, time.monotonic()
        return 0.01

    def poll(self) -> float:
        self.looks += 1
        if self.looks == self.fail_at:
            raise CounterReset("set back")
        return 0.01

    def stop(self) -> Mapping[str, float]:
        elapsed_s = time.monotonic() - self.begin_s
        return {"package-0": 20.0 * elapsed_s, "dram-0": 5.0 * elapsed_s}


def test_a_window_counts_its_domains_once() -> None:
    found = measure_window(Steady(), lambda: time.sleep(0.2))
    assert found.power_w == pytest.approx(20.0, rel=0.05)  # two clocks are read a moment apart
    assert found.joules[1][0] == "dram-0"
    assert 1 <= found.polls <= 20
    assert 0.0 < found.reading_cpu_s < 0.2


def test_a_failure_of_the_thread_is_raised_at_the_end() -> None:
    with pytest.raises(CounterReset, match="set back"):
        measure_window(Steady(fail_at=2), lambda: time.sleep(0.2))


def test_a_short_window_is_refused() -> None:
    with pytest.raises(WindowTooShort, match="needs a window of"):
        measure_window(Steady(), lambda: None)


def test_an_error_of_the_work_ends_the_window() -> None:
    meter_source = Steady()

    def fail() -> None:
        raise KeyError("work")

    with pytest.raises(KeyError):
        measure_window(meter_source, fail)
    looks = meter_source.looks
    time.sleep(0.05)
    assert meter_source.looks == looks


def test_one_window_at_a_time() -> None:
    meter = Meter(Steady())
    meter.start()
    with pytest.raises(RuntimeError, match="one window at a time"):
        meter.start()
    meter.abandon()


@pytest.mark.parametrize("energy_j", [0.0, -1.0, math.nan, math.inf])
def test_a_window_of_no_energy_cannot_be_made(energy_j: float) -> None:
    with pytest.raises(ValueError, match="energy of"):
        EnergyWindow("rapl", (("package-0", energy_j),), 1, 1.0, 0)


def test_idle_power_is_the_mean_of_quiet_windows() -> None:
    first = EnergyWindow("rapl", (("package-0", 10.0), ("dram-0", 2.0)), 1, 1.0, 0)
    second = EnergyWindow("rapl", (("package-0", 60.0),), 1, 3.0, 0)
    assert IdlePower.of(first, second) == IdlePower(17.5, (("package-0", 17.5),), 4.0)


def test_idle_is_measured_as_long_as_asked() -> None:
    assert measure_idle(Steady(), 0.1).seconds == pytest.approx(0.1, abs=0.05)
    with pytest.raises(ValueError, match="s at least, got"):
        measure_idle(Steady(), 0.01)
