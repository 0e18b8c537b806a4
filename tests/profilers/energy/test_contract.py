"""One suite for every energy source: over fakes in simulated time, and over the real ones where there are any."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.base import EnergySource, EnergyUnavailable, WindowTooShort
from paredown.profilers.energy.battery import BatterySource
from paredown.profilers.energy.energy import Energy
from paredown.profilers.energy.interleaved import measure_energy
from paredown.profilers.energy.meter import Meter, measure_window
from paredown.profilers.energy.nvml import NvmlSource
from paredown.profilers.energy.powercap import PowercapSource
from paredown.profilers.energy.probe import NAMES
from paredown.profilers.energy.protocol import Protocol
from tests.profilers.energy.rigs import Rig, battery_rig, estimate_rig, nvml_rig, powercap_rig, pyrapl_rig
from tests.profilers.energy.trees import LAYOUTS

FAKES: dict[str, Callable[[Path, pytest.MonkeyPatch], Rig]] = {
    **{f"rapl {layout}": (lambda root, _, layout=layout: powercap_rig(root, layout)) for layout in LAYOUTS},
    "pyrapl": pyrapl_rig,
    "battery": lambda root, _: battery_rig(root, by_charge=False),
    "battery by charge": lambda root, _: battery_rig(root, by_charge=True),
    "nvml": lambda root, _: nvml_rig(counts=True),
    "nvml without counter": lambda root, _: nvml_rig(counts=False),
    "estimate": lambda root, _: estimate_rig(root),
}
COUNTERS = [name for name in FAKES if name != "estimate"]  # CPU time of this process cannot be taken away
REAL = [
    pytest.param(PowercapSource, marks=pytest.mark.rapl, id="rapl"),
    pytest.param(BatterySource, marks=pytest.mark.battery, id="battery"),
    pytest.param(NvmlSource, marks=pytest.mark.gpu, id="nvml"),
]


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return FAKES[request.param](tmp_path, monkeypatch)


every_source = pytest.mark.parametrize("rig", FAKES, indirect=True)
every_counter = pytest.mark.parametrize("rig", COUNTERS, indirect=True)


def window(rig: Rig, seconds: float, watts: float) -> dict[str, float]:
    rig.source.start()
    rig.draw(seconds, watts)
    return dict(rig.source.stop())


def finish(rig: Rig, seconds: float = 0.0) -> dict[str, float]:
    """Time passes in which nothing is drawn, and the window ends."""
    rig.draw(seconds, 0.0)
    rig.source.poll()
    return dict(rig.source.stop())


def counted(rig: Rig, joules: dict[str, float]) -> float:
    return sum(joules[domain] for domain in rig.source.counted)


def check_says_what_it_is(source: EnergySource) -> None:
    assert source.name in NAMES
    assert source.target in ("cpu", "cuda", "machine")
    assert source.provenance == ("estimated" if source.name == "estimate" else "measured")
    assert source.label
    assert source.method
    assert source.counted
    assert set(source.counted) <= set(source.domains)
    assert len(set(source.domains)) == len(source.domains)
    assert source.min_window_s >= 1.0


@every_source
def test_it_says_what_it_is(rig: Rig) -> None:
    check_says_what_it_is(rig.source.inner)


@every_source
def test_energy_is_what_was_drawn(rig: Rig) -> None:
    joules = window(rig, rig.window_s, rig.power_w)
    assert counted(rig, joules) == pytest.approx(rig.drawn_j, abs=rig.tolerance_j)
    assert set(joules) <= set(rig.source.domains)


@every_source
def test_a_window_begins_at_nothing(rig: Rig) -> None:
    first, second = window(rig, rig.window_s, rig.power_w), window(rig, rig.window_s, rig.power_w)
    assert counted(rig, second) == pytest.approx(counted(rig, first), abs=2 * rig.tolerance_j)


@every_source
def test_what_is_drawn_between_windows_belongs_to_none(rig: Rig) -> None:
    window(rig, rig.window_s, rig.power_w)
    rig.draw(rig.window_s, 5 * rig.power_w)
    assert counted(rig, window(rig, rig.window_s, rig.power_w)) == pytest.approx(rig.window_s * rig.power_w, abs=5 * rig.tolerance_j)


@every_source
def test_twice_the_power_is_twice_the_energy(rig: Rig) -> None:
    once, twice = window(rig, rig.window_s, rig.power_w), window(rig, rig.window_s, 2 * rig.power_w)
    assert counted(rig, twice) == pytest.approx(2 * counted(rig, once), abs=4 * rig.tolerance_j)


@every_counter
def test_access_lost_in_the_middle_is_a_reason(rig: Rig) -> None:
    rig.source.start()
    rig.draw(rig.window_s / 2, rig.power_w)
    rig.lose()
    with pytest.raises(EnergyUnavailable) as failure:
        finish(rig)
    assert str(failure.value)
    assert "\n" not in str(failure.value)


@every_counter
def test_access_lost_before_the_window_is_a_reason(rig: Rig) -> None:
    rig.lose()
    with pytest.raises(EnergyUnavailable):
        rig.source.start()


@every_counter
def test_a_window_after_a_lost_one_is_answered(rig: Rig) -> None:
    rig.source.start()
    rig.lose()
    with pytest.raises(EnergyUnavailable):
        rig.source.stop()
    rig.restore()
    rig.draw(1.0, rig.power_w)  # the fake writes its counter again
    assert counted(rig, window(rig, rig.window_s, rig.power_w)) == pytest.approx(rig.window_s * rig.power_w, abs=rig.tolerance_j)


@every_source
def test_a_counter_that_stands_is_no_zero(rig: Rig) -> None:
    rig.source.start()
    with pytest.raises(EnergyUnavailable):
        finish(rig, 20.0)


@every_source
def test_a_short_window_is_refused(rig: Rig) -> None:
    with pytest.raises(EnergyUnavailable):
        measure_window(rig.source, lambda: rig.draw(0.9, rig.power_w), rig.clock)


@pytest.mark.parametrize("rig", [name for name in FAKES if not name.startswith("battery")], indirect=True)
def test_a_short_window_is_called_short(rig: Rig) -> None:
    with pytest.raises(WindowTooShort, match="at least, got 0"):
        measure_window(rig.source, lambda: rig.draw(0.9, rig.power_w), rig.clock)


@every_source
def test_the_meter_gives_power(rig: Rig) -> None:
    found = measure_window(rig.source, lambda: rig.draw(rig.window_s, rig.power_w), rig.clock)
    assert found.seconds == pytest.approx(rig.window_s)
    assert found.energy_j == pytest.approx(rig.window_s * rig.power_w, abs=rig.tolerance_j)
    assert found.power_w == pytest.approx(rig.power_w, abs=rig.tolerance_j / rig.window_s)


@every_source
def test_candidates_are_compared(rig: Rig) -> None:
    """The second draws twice the power for the same time; idle draws a tenth."""
    found = compare(rig)
    assert found["heavy"].figures is not None
    assert found["heavy"].to_dict()["provenance"] == rig.source.provenance
    ratio = found["heavy"].figures.ratio
    assert ratio is not None
    assert ratio.value == pytest.approx(2.0, rel=0.1)
    assert found["light"].to_measurement().value == pytest.approx(rig.power_w * rig.window_s / 8 * 1000.0, rel=0.06)


@every_counter
def test_a_source_that_goes_for_good_leaves_a_reason(rig: Rig) -> None:
    found = compare(rig, lose_after=30)
    for energy in found.values():
        assert energy.to_measurement().provenance == "unavailable"
        assert math.isnan(energy.to_measurement().value)
        assert energy.to_dict()["value"] is None
        assert energy.reason


def compare(rig: Rig, lose_after: int | None = None) -> dict[str, Energy]:
    protocol = Protocol(utterances=4, passes=2, repeats=3, idle_s=rig.window_s, warmup=0)
    runs = 0

    def runner(watts: float) -> Callable[[int], int]:
        def run(item: int) -> int:
            nonlocal runs
            runs += 1
            if runs == lose_after:
                rig.lose()
            rig.draw(rig.window_s / 8, watts)
            return 10

        return run

    candidates = {"light": runner(rig.power_w), "heavy": runner(2 * rig.power_w)}
    rng = np.random.default_rng(0)

    def rest(seconds: float) -> None:
        rig.draw(max(seconds, 1e-3), rig.power_w / 10)  # less than the clock resolves would never end

    return measure_energy(candidates, "light", 4, [2.0] * 4, rig.source, protocol, rng, rig.clock, rest)


@pytest.fixture
def real(request: pytest.FixtureRequest) -> EnergySource:
    try:
        return request.param()
    except (BadInput, EnergyUnavailable) as reason:
        pytest.skip(str(reason))


every_real = pytest.mark.parametrize("real", REAL, indirect=True)


@every_real
def test_the_real_source_says_what_it_is(real: EnergySource) -> None:
    check_says_what_it_is(real)


@every_real
def test_the_real_source_gives_a_possible_power(real: EnergySource) -> None:
    if real.name == "battery":
        pytest.skip("a battery needs a quarter of an hour")
    found = measure_window(real, lambda: time.sleep(real.min_window_s + 0.1))
    assert 0.01 < found.power_w < 5000.0


@every_real
def test_the_real_source_refuses_a_short_window(real: EnergySource) -> None:
    with pytest.raises(EnergyUnavailable):
        measure_window(real, lambda: time.sleep(0.2))


@every_real
def test_the_real_source_can_be_used_twice(real: EnergySource) -> None:
    meter = Meter(real)
    for _ in range(2):
        meter.start()
        meter.abandon()
    meter.start()  # a meter that still ran would refuse
    meter.abandon()
    assert real.domains
