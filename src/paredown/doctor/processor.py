"""The processor: its int8 products as they come out, its clocks, its temperature."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from paredown.doctor.finding import Finding
from paredown.profilers.fingerprint import Fingerprint, read_fingerprint
from paredown.profilers.thermal import read_thermal

SECTION = "processor"
FREQUENCY = "sys/devices/system/cpu/cpu0/cpufreq"
_LENGTH = 64  # products summed in the trial; two neighbours of 255 x 127 are already beyond int16


def look_at_processor(root: Path = Path("/")) -> Iterator[Finding]:
    """`root`: where /proc and /sys are looked up; tests put a faked tree there."""
    machine = read_fingerprint(threads=1, root=root)
    yield _processor(machine, root)
    yield _int8(machine)
    yield _governor(machine)
    yield _turbo(machine, root)
    yield _temperature(root)
    if machine.power == "battery":
        enable = "plug the charger in, or measure all you compare on battery: clocks differ, so figures of the two are not compared"
        yield Finding(SECTION, "power supply", "limited", "on battery", "/sys/class/power_supply", enable)


def _processor(machine: Fingerprint, root: Path) -> Finding:
    everywhere = os.cpu_count() or machine.cores
    flags = ", ".join(machine.instructions) or "none known"
    cores = f"{machine.cores} cores" if machine.cores == everywhere else f"{machine.cores} of {everywhere} cores allowed"
    found = f"{machine.cpu}, {cores}" + (", virtual machine" if is_virtual(root) else "")
    return Finding(SECTION, "processor", "ok", found, f"/proc/cpuinfo: {flags}")


def is_virtual(root: Path = Path("/")) -> bool:
    """Whether a hypervisor stands between this system and the processor."""
    try:
        return " hypervisor" in (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _int8(machine: Fingerprint) -> Finding:
    """Multiplies the largest operands there are: without VNNI, x86 adds two products in 16 bits and saturates."""
    due, got = largest_products()
    if got == due:
        return Finding(SECTION, "int8 products", "ok", "exact", f"255 x 127 summed {_LENGTH} times gave {got}")
    enable = "nothing can be done: quality figures are those of this instruction set, and the parity gate refuses a bundle that saturates"
    return Finding(SECTION, "int8 products", "limited", "saturate", f"255 x 127 summed {_LENGTH} times gave {got} instead of {due}", enable)


def largest_products() -> tuple[int, int]:
    """What a sum of the largest products of uint8 and int8 must be, and what onnxruntime makes of it here."""
    import onnx
    import onnxruntime

    left, right = np.full((1, _LENGTH), 255, np.uint8), np.full((_LENGTH, 1), 127, np.int8)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["left", "right"], ["sum"])],
        "products",
        [onnx.helper.make_tensor_value_info("left", onnx.TensorProto.UINT8, [1, _LENGTH])],
        [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.INT32, [1, 1])],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return 255 * 127 * _LENGTH, int(session.run(None, {"left": left})[0].item())


def _governor(machine: Fingerprint) -> Finding:
    path = f"/{FREQUENCY}/scaling_governor"
    if machine.governor is None:
        enable = "measure on the metal to see it; the reference is timed beside every candidate, so ratios hold"
        return Finding(SECTION, "frequency governor", "limited", "not told", f"no {path}", enable)
    if machine.governor == "performance":
        return Finding(SECTION, "frequency governor", "ok", machine.governor, path)
    return Finding(SECTION, "frequency governor", "limited", machine.governor, path, "sudo cpupower frequency-set -g performance")


def _turbo(machine: Fingerprint, root: Path) -> Finding:
    pstate = root / "sys/devices/system/cpu/intel_pstate/no_turbo"
    path, off = (pstate, "1") if pstate.exists() else (root / "sys/devices/system/cpu/cpufreq/boost", "0")
    if machine.turbo is None:
        return Finding(SECTION, "turbo", "limited", "not told", f"no {path}", "measure on the metal to see it")
    if not machine.turbo:
        return Finding(SECTION, "turbo", "ok", "off: clocks are steady", str(path))
    return Finding(SECTION, "turbo", "limited", "on: clocks fall as it gets hot", str(path), f"echo {off} | sudo tee {path}")


def _temperature(root: Path) -> Finding:
    thermal = read_thermal(root)
    if thermal.temperature_c is None:
        enable = "sudo modprobe coretemp (Intel) or k10temp (AMD); a virtual machine has no sensor"
        return Finding(
            SECTION, "temperature", "limited", "not told", "no processor sensor in /sys/class/hwmon or /sys/class/thermal", enable
        )
    slowed = "" if thermal.throttled is None else f"; slowed down {thermal.throttled} times since boot"
    return Finding(SECTION, "temperature", "ok", f"{thermal.temperature_c:.0f} °C{slowed}", "/sys/class/hwmon, /sys/class/thermal")
