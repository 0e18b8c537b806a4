"""pyRAPL beside our own reader, over one faked tree; skipped where it is not installed."""

import sys
from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.base import CounterReset, WrapUnresolved
from paredown.profilers.energy.powercap import PowercapSource
from paredown.profilers.energy.pyrapl import SMALLEST_RANGE_J, load_pyrapl
from tests.profilers.energy.rigs import Rig, pyrapl_rig
from tests.profilers.energy.trees import RANGE_UJ, write_zones


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return pyrapl_rig(tmp_path, monkeypatch)


def test_both_readers_agree(rig: Rig, tmp_path: Path) -> None:
    ours = PowercapSource(tmp_path, clock=rig.clock, slept=lambda: 0.0)
    ours.start()
    rig.source.start()
    rig.draw(20.0, 30.0)
    theirs, found = rig.source.stop(), ours.stop()
    assert set(theirs) == {"package-0", "dram-0", "package-1", "dram-1"}
    assert all(found[domain] == pytest.approx(energy_j, abs=1e-6) for domain, energy_j in theirs.items())


def test_a_wrap_is_refused(rig: Rig, tmp_path: Path) -> None:
    rig.source.start()
    rig.clock.sleep(2.0)
    write_zones(tmp_path, {"intel-rapl:0": "package-0"}, value_uj=5_000_000, range_uj=RANGE_UJ)
    with pytest.raises(CounterReset, match="it wrapped or was set back"):
        rig.source.stop()


def test_a_window_in_which_a_wrap_may_hide_is_refused(rig: Rig) -> None:
    rig.source.start()
    rig.draw(SMALLEST_RANGE_J / 1000.0, 30.0)
    with pytest.raises(WrapUnresolved, match="cannot tell wraps"):
        rig.source.stop()


def test_without_the_package_there_is_a_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyRAPL", None)  # as if it were not there
    with pytest.raises(BadInput, match="pip install pyRAPL"):
        load_pyrapl()
