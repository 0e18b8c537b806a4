"""Fingerprints of faked machines: trees of /proc and /sys as Linux writes them."""

from pathlib import Path

import pytest

from paredown.profilers.fingerprint import Fingerprint, read_fingerprint

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 3.00GHz
flags\t\t: fpu sse4_2 avx2 avx512f avx512_vnni avx512_vnni_not

processor\t: 1
model name\t: Another name
flags\t\t: fpu
"""


def machine(root: Path, files: dict[str, str]) -> Path:
    for path, text in {"proc/cpuinfo": CPUINFO, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_reads_a_laptop(tmp_path: Path) -> None:
    files = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
        "sys/class/power_supply/AC/type": "Mains\n",
        "sys/class/power_supply/AC/online": "0\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/status": "Discharging\n",
    }
    found = read_fingerprint(2, root=machine(tmp_path, files))
    assert (found.cpu, found.instructions) == ("Some CPU @ 3.00GHz", ("avx2", "avx512f", "avx512_vnni"))
    assert (found.governor, found.turbo, found.power, found.threads) == ("powersave", True, "battery", 2)
    assert "numpy" in dict(found.runtimes)
    assert found.cores >= 1


@pytest.mark.parametrize(
    ("files", "power"),
    [
        ({}, None),
        ({"sys/class/power_supply/AC/type": "Mains", "sys/class/power_supply/AC/online": "1"}, "ac"),
        ({"sys/class/power_supply/BAT0/type": "Battery", "sys/class/power_supply/BAT0/status": "Discharging"}, "battery"),
        ({"sys/class/power_supply/BAT0/type": "Battery", "sys/class/power_supply/BAT0/status": "Full"}, None),
        (
            {
                "sys/class/power_supply/hid/type": "Battery",
                "sys/class/power_supply/hid/scope": "Device",
                "sys/class/power_supply/hid/status": "Discharging",
            },
            None,
        ),
    ],
)
def test_power(tmp_path: Path, files: dict[str, str], power: str | None) -> None:
    assert read_fingerprint(1, root=machine(tmp_path, files)).power == power


@pytest.mark.parametrize(
    ("files", "turbo"),
    [
        ({"sys/devices/system/cpu/intel_pstate/no_turbo": "1"}, False),
        ({"sys/devices/system/cpu/cpufreq/boost": "1"}, True),
        ({"sys/devices/system/cpu/cpufreq/boost": "0"}, False),
        ({}, None),
    ],
)
def test_turbo_is_unknown_rather_than_off(tmp_path: Path, files: dict[str, str], turbo: bool | None) -> None:
    assert read_fingerprint(1, root=machine(tmp_path, files)).turbo is turbo


NVIDIA = {
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce RTX 4070\nIRQ:   \t\t 184\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC version:  gcc 13\n",
}


def test_the_accelerator_belongs_to_targets_that_use_it(tmp_path: Path) -> None:
    root = machine(tmp_path, NVIDIA)
    assert read_fingerprint(1, "cuda", root).accelerator == "NVIDIA GeForce RTX 4070, driver 550.54.14"
    assert read_fingerprint(1, "cpu", root).accelerator is None
    assert read_fingerprint(1, "cuda", root).digest != read_fingerprint(1, "cpu", root).digest


def test_facts_name_what_differs_between_two_targets(tmp_path: Path) -> None:
    before = read_fingerprint(1, root=machine(tmp_path, {}))
    machine(tmp_path, {"sys/class/power_supply/AC/type": "Mains", "sys/class/power_supply/AC/online": "0"})
    after = read_fingerprint(2, root=tmp_path)
    assert {name for name in after.facts if after.facts[name] != before.facts[name]} == {"power", "threads"}
    assert "numpy version" in after.facts
    assert "power battery" in after.describe()
    assert after.digest[:12] in after.describe()


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = read_fingerprint(1, root=tmp_path)
    assert (found.instructions, found.governor, found.turbo, found.power) == ((), None, None, None)


def test_digest_changes_with_what_matters_and_with_nothing_else(tmp_path: Path) -> None:
    root = machine(tmp_path, {})
    one = read_fingerprint(1, root=root)
    assert one.digest == read_fingerprint(1, root=root).digest
    assert one.digest != read_fingerprint(2, root=root).digest
    (root / "sys/devices/system/cpu/cpu0/cpufreq").mkdir(parents=True)
    (root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").write_text("performance")
    assert one.digest != read_fingerprint(1, root=root).digest


def test_this_machine_has_one() -> None:
    found = read_fingerprint(1)
    assert isinstance(found, Fingerprint)
    assert len(found.digest) == 64


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        read_fingerprint(0)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="a device is one of cpu, cuda, got 'tpu'"):
        read_fingerprint(1, "tpu")  # type: ignore[arg-type]
