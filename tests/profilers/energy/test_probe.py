from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.nvml import NvmlSource
from paredown.profilers.energy.probe import NAMES, SourceState, find_sources, open_source
from tests.profilers.energy.fake_nvml import FakeGpu
from tests.profilers.energy.trees import LAYOUTS, write_battery, write_charger, write_cpuinfo, write_zones

CPU = "Intel(R) Core(TM) i7-8565U CPU @ 1.80GHz"


def state(name: str, root: Path, **given: object) -> SourceState:
    return next(found for found in find_sources(root, **given) if found.name == name)


def closed(path: Path) -> str:
    """Root reads everything in a test, so what others see is served."""
    if path.name == "energy_uj":
        raise PermissionError(13, "Permission denied")
    return path.read_text()


def test_every_source_has_a_line(tmp_path: Path) -> None:
    found = find_sources(tmp_path)
    assert tuple(one.name for one in found) == NAMES
    assert all(one.available or (one.reason and one.remedy) for one in found)


def test_open_counters_are_available(tmp_path: Path) -> None:
    write_zones(tmp_path, LAYOUTS["intel laptop"])
    found = state("rapl", tmp_path)
    assert found.available
    assert "domains package-0, core-0, psys, uncore-0" in found.evidence
    assert any("package-0" in line and "readable" in line and "-rw" in line for line in found.evidence)


def test_counters_of_root_alone_come_with_the_command(tmp_path: Path) -> None:
    write_zones(tmp_path, LAYOUTS["amd"])
    found = state("rapl", tmp_path, read=closed)
    assert not found.available
    assert "CVE-2020-8694" in found.reason
    assert "sudo chmod a+r" in found.remedy
    assert "intel-rapl:0/energy_uj" in found.remedy
    assert "udev" in found.remedy
    assert 'SUBSYSTEM=="powercap"' in found.remedy


def test_a_tree_without_zones_asks_for_the_module(tmp_path: Path) -> None:
    (tmp_path / "sys/class/powercap").mkdir(parents=True)
    write_cpuinfo(tmp_path, CPU)
    assert "sudo modprobe intel_rapl_common" in state("rapl", tmp_path).remedy


def test_a_virtual_machine_is_told_so(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU, flags="fpu hypervisor avx2")
    found = state("rapl", tmp_path)
    assert "virtual machine" in found.reason
    assert "on the metal" in found.remedy


def test_a_container_is_told_what_to_mount(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU)
    assert "container" in state("rapl", tmp_path).reason


def test_batteries(tmp_path: Path) -> None:
    assert "no battery" in state("battery", tmp_path).reason
    write_battery(tmp_path)
    write_charger(tmp_path, online=True)
    assert state("battery", tmp_path).reason == "AC is plugged in"
    write_charger(tmp_path, online=False)
    assert state("battery", tmp_path).available


def test_a_gpu_is_described(tmp_path: Path) -> None:
    found = state("nvml", tmp_path, nvml=FakeGpu().module)
    assert found.available
    assert "device: NVIDIA Fake" in found.evidence
    assert "driver: 580.1" in found.evidence
    assert "clock_reasons: hardware thermal slowdown, power cap, unknown 0x10000000000" in found.evidence
    assert "other_gpu_processes: 1" in found.evidence


def test_a_gpu_without_counter_says_how_it_is_measured() -> None:
    assert "power integration, sampled every 50 ms" in NvmlSource(FakeGpu(counts=False).module).method


def test_the_usual_source_of_a_target(tmp_path: Path) -> None:
    write_zones(tmp_path, LAYOUTS["amd"])
    assert open_source("cpu", root=tmp_path).name == "rapl"
    assert open_source("cuda", root=tmp_path, nvml=FakeGpu().module).name == "nvml"


def test_nobody_gets_an_estimate_who_did_not_ask(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU)
    with pytest.raises(BadInput, match=r"energy of cpu cannot be measured with rapl: .*; ") as failure:
        open_source("cpu", root=tmp_path)
    assert "\n" not in str(failure.value)
    assert open_source("cpu", "estimate", root=tmp_path).provenance == "estimated"


@pytest.mark.parametrize(
    ("target", "name", "rule"),
    [
        ("tpu", None, "measured on cpu, cuda, machine; got 'tpu'"),
        ("cpu", "ammeter", "one of rapl, pyrapl, battery, nvml, estimate; got 'ammeter'"),
        ("cpu", "battery", "battery measures machine, not cpu"),
    ],
)
def test_what_is_not_there_is_bad_input(tmp_path: Path, target: str, name: str | None, rule: str) -> None:
    with pytest.raises(BadInput, match=rule):
        open_source(target, name, root=tmp_path)


@pytest.mark.parametrize(("zone", "available"), [("intel-rapl:0", False), ("intel-rapl:1", True)])
def test_a_counter_without_a_range_is_no_counter(tmp_path: Path, zone: str, available: bool) -> None:
    """A package without one is refused with the reason; psys, which is not counted, is left out."""
    write_zones(tmp_path, LAYOUTS["intel laptop"])
    (tmp_path / "sys/class/powercap" / zone / "max_energy_range_uj").write_text("0\n")
    found = state("rapl", tmp_path)
    assert found.available == available
    assert ("max_energy_range_uj must be above 0, got 0" in found.reason) == (not available)
    assert not any("domains" in line and "psys" in line for line in found.evidence)


def test_hidden_gpus_are_told_what_hides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = state("nvml", tmp_path, nvml=FakeGpu().module)
    assert found.reason == "GPU 0 is not among CUDA_VISIBLE_DEVICES="
    assert "CUDA_VISIBLE_DEVICES" in found.remedy


def test_refusals_name_the_options_of_the_command_line(tmp_path: Path) -> None:
    write_cpuinfo(tmp_path, CPU, flags="fpu hypervisor")
    with pytest.raises(BadInput, match=r"give tdp_w and tdp_cores .*--tdp and --tdp-cores"):
        open_source("cpu", "estimate", root=tmp_path)
    with pytest.raises(BadInput, match="--energy estimate in paredown profile"):
        open_source("cpu", root=tmp_path)
