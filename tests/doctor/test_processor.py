"""What the doctor says of faked processors, and of the real products of this one."""

from pathlib import Path

import onnxruntime
import pytest

from paredown.doctor import processor
from paredown.doctor.finding import Finding
from paredown.doctor.processor import is_virtual, largest_products, look_at_processor

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2{}\n"


def machine(root: Path, files: dict[str, str], flags: str = "") -> Path:
    for path, text in {"proc/cpuinfo": CPUINFO.format(flags), **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def found(root: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in look_at_processor(root)}


def test_a_laptop_on_battery_with_turbo(tmp_path: Path) -> None:
    files = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
        "sys/class/power_supply/BAT0/type": "Battery",
        "sys/class/power_supply/BAT0/status": "Discharging",
        "sys/class/hwmon/hwmon0/name": "coretemp",
        "sys/class/hwmon/hwmon0/temp1_input": "61000",
    }
    told = found(machine(tmp_path, files))
    assert told["frequency governor"].enable == "sudo cpupower frequency-set -g performance"
    assert told["turbo"].enable == f"echo 1 | sudo tee {tmp_path}/sys/devices/system/cpu/intel_pstate/no_turbo"
    assert told["power supply"].state == "limited"
    assert (told["temperature"].state, told["temperature"].found) == ("ok", "61 °C")
    assert "virtual" not in told["processor"].found


def test_a_workstation_set_up_to_measure(tmp_path: Path) -> None:
    files = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
        "sys/devices/system/cpu/cpufreq/boost": "0",
    }
    told = found(machine(tmp_path, files))
    assert told["frequency governor"].state == told["turbo"].state == "ok"
    assert "power supply" not in told


def test_amd_turbo_is_turned_off_by_a_zero(tmp_path: Path) -> None:
    told = found(machine(tmp_path, {"sys/devices/system/cpu/cpufreq/boost": "1"}))
    assert told["turbo"].enable == f"echo 0 | sudo tee {tmp_path}/sys/devices/system/cpu/cpufreq/boost"


def test_a_virtual_machine_that_tells_nothing(tmp_path: Path) -> None:
    told = found(machine(tmp_path, {}, " hypervisor"))
    assert is_virtual(tmp_path)
    assert "virtual machine" in told["processor"].found
    assert {told[name].found for name in ("frequency governor", "turbo", "temperature")} == {"not told"}
    assert not is_virtual(tmp_path / "none")


def test_the_products_of_this_machine_are_tried() -> None:
    due, got = largest_products()
    assert due == 255 * 127 * 64
    assert 0 < got <= due  # saturation loses, it adds nothing


def test_saturating_products_are_told_with_their_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "largest_products", lambda: (2072640, 1048544))
    told = found(machine(tmp_path, {}))["int8 products"]
    assert (told.state, told.found) == ("limited", "saturate")
    assert "gave 1048544 instead of 2072640" in told.evidence


def test_a_finding_says_what_to_do_exactly_where_something_is_missing() -> None:
    with pytest.raises(ValueError, match="what is not ok says what to do"):
        Finding("a", "b", "missing", "none", "looked")
    with pytest.raises(ValueError, match="what is not ok says what to do"):
        Finding("a", "b", "ok", "there", "looked", "do it")
    with pytest.raises(ValueError, match="a finding is one of ok, limited, missing, got 'fine'"):
        Finding("a", "b", "fine", "there", "looked")  # type: ignore[arg-type]


def test_the_products_run_where_bundles_run() -> None:
    assert "CPUExecutionProvider" in onnxruntime.get_available_providers()
