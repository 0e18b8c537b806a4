"""Energy of an NVIDIA GPU through NVML (package nvidia-ml-py, module `pynvml`), the whole board.

Volta and later count millijoules (`nvmlDeviceGetTotalEnergyConsumption`). The count moves every 20 to 100 ms: a window begins at such a
step, and is five seconds long or more, so that its other end is off by a fiftieth at most. Where there is no counter, power is
sampled and integrated, and labelled so: on Ampere (but GA100) and later it is an average over the last second, before that the power
of the moment, so that short loads are smeared or missed.

GPU work runs beside the program that starts it. Who measures hands over a function that returns when the GPU is done: a session of
onnxruntime does (its outputs are on the host), torch must be synchronized.
"""

import importlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from paredown.errors import BadInput
from paredown.profilers.energy.base import (
    AccessLost,
    CounterReset,
    CounterStill,
    DomainVanished,
    EnergySource,
    StateChanged,
)
from paredown.profilers.energy.gpu_conditions import GpuConditions, ask
from paredown.profilers.measurement import DetailValue

REMEDY = "pip install nvidia-ml-py"
MAX_POWER_W = 2500.0  # of one board; the largest sold draw half of it
MIN_WINDOW_S = 5.0
LOOK_S = 0.5  # between looks at the clocks
SAMPLE_S = 0.05  # between samples of power where there is no counter
_LATE = 10.0  # times the sampling period: a longer gap between samples is no integral
_STEP_WAIT_S = 0.25  # for the counter to move, before a window begins
_STEP_LOOK_S = 0.002


def load_nvml() -> Any:
    """The module `pynvml`; raises BadInput with the pip line where it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        raise BadInput(f"NVIDIA GPUs are asked through the package nvidia-ml-py: {REMEDY}") from None


def device_handle(nvml: Any, index: int) -> Any:
    """The GPU that CUDA calls `index`, where CUDA_VISIBLE_DEVICES renumbers them; by the bus otherwise. Raises NVMLError.

    Several GPUs of different kinds are numbered alike by both only with CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    visible = [entry.strip() for entry in shown.split(",") if entry.strip()]  # none of them where it is empty: all are hidden
    if index >= len(visible):
        raise BadInput(f"GPU {index} is not among CUDA_VISIBLE_DEVICES={','.join(visible)}")
    chosen = visible[index]
    return nvml.nvmlDeviceGetHandleByIndex(int(chosen)) if chosen.isdigit() else nvml.nvmlDeviceGetHandleByUUID(chosen)


class NvmlSource(EnergySource):
    """One GPU. `nvml`: the module; `index`: as CUDA numbers it; `clock`, `sleep`: seconds.

    Raises BadInput where there is no driver, no such GPU, or one that tells neither energy nor power.
    """

    name = "nvml"
    label = "NVML (GPU board)"
    target = "cuda"
    provenance = "measured"
    min_window_s = MIN_WINDOW_S

    def __init__(
        self,
        nvml: Any = None,
        index: int = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._nvml = load_nvml() if nvml is None else nvml
        self._clock, self._sleep = clock, sleep
        try:
            self._nvml.nvmlInit()
            self._handle, self._counts = self._reach(index)
        except self._nvml.NVMLError as error:
            raise BadInput(f"NVML must reach GPU {index} and its energy or power: {error} (is the NVIDIA driver loaded?)") from None
        self.method = "total energy counter" if self._counts else f"power integration, sampled every {SAMPLE_S * 1e3:g} ms"
        self.domains = self.counted = (f"gpu-{index}",)
        self._value, self._last_s, self._total_mj, self._look_due_s = 0, 0.0, 0.0, 0.0
        self._conditions = GpuConditions(self._nvml, self._handle)

    def start(self) -> float:
        if self._counts:
            value_mj = self._step()
            self._begin(value_mj, self._clock())
        else:
            power_mw = self._ask("nvmlDeviceGetPowerUsage")
            self._begin(power_mw, self._clock())
        self._conditions.look()
        return self._period_s

    def poll(self) -> float:
        self._count()
        if self._last_s >= self._look_due_s:
            self._conditions.look()
            self._look_due_s = self._last_s + LOOK_S
        return self._period_s

    def stop(self) -> Mapping[str, float]:
        self._count()
        self._conditions.look()
        if self._total_mj <= 0.0:
            raise CounterStill(f"{self.domains[0]} did not move through the whole window: a GPU always draws power")
        return {self.domains[0]: self._total_mj / 1000.0}

    def detail(self) -> tuple[tuple[str, DetailValue], ...]:
        return self._conditions.to_detail()

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    def describe(self) -> tuple[str, ...]:
        """Lines of evidence: device, driver, method, clocks, what holds them down, others on it; without what NVML does not tell."""
        nvml, handle = self._nvml, self._handle
        said = {
            "device": ask(nvml, "nvmlDeviceGetName", handle),
            "driver": ask(nvml, "nvmlSystemGetDriverVersion"),
            "method": self.method,
        }
        conditions = GpuConditions(nvml, handle)
        conditions.look()
        said |= {name: value for name, value in conditions.to_detail() if not name.endswith("_median")}
        return tuple(f"{name}: {value}" for name, value in said.items() if value is not None)

    @property
    def _period_s(self) -> float:
        return LOOK_S if self._counts else SAMPLE_S

    def _reach(self, index: int) -> tuple[Any, bool]:
        """The GPU, and whether it counts energy. NVML is given back where there is none."""
        try:
            handle = device_handle(self._nvml, index)
            counts = self._has_counter(handle)
            if not counts:
                self._nvml.nvmlDeviceGetPowerUsage(handle)
        except (BadInput, self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
            raise
        return handle, counts

    def _has_counter(self, handle: Any) -> bool:
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except self._nvml.NVMLError_NotSupported:
            return False
        return True

    def _begin(self, value: int, now_s: float) -> None:
        """`value`: millijoules of the counter, or milliwatts."""
        self._value, self._last_s, self._total_mj = value, now_s, 0.0
        self._look_due_s = now_s + LOOK_S
        self._conditions = GpuConditions(self._nvml, self._handle)

    def _step(self) -> int:
        """The counter at the moment it moves; as it stands where it does not within a quarter of a second."""
        first, deadline_s = self._ask("nvmlDeviceGetTotalEnergyConsumption"), self._clock() + _STEP_WAIT_S
        while self._clock() < deadline_s:
            value_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption")
            if value_mj != first:
                return value_mj
            self._sleep(_STEP_LOOK_S)
        return first

    def _count(self) -> None:
        value = self._ask("nvmlDeviceGetTotalEnergyConsumption" if self._counts else "nvmlDeviceGetPowerUsage")
        now_s = self._clock()
        elapsed_s = now_s - self._last_s
        if self._counts:
            grown_mj = value - self._value
            if not 0 <= grown_mj <= MAX_POWER_W * 1e3 * (elapsed_s + _STEP_WAIT_S):
                raise CounterReset(f"{self.domains[0]} moved by {grown_mj / 1e3:.6g} J in {elapsed_s:.3g} s: the driver set it back")
            self._total_mj += grown_mj
        else:
            if elapsed_s > _LATE * SAMPLE_S:
                raise StateChanged(f"power was not sampled for {elapsed_s:.3g} s, {SAMPLE_S:g} s is the period: no integral")
            if value <= 0:
                raise CounterStill(f"{self.domains[0]} says that it draws {value} mW: a GPU always draws power")
            self._total_mj += (self._value + value) / 2.0 * elapsed_s
        self._value, self._last_s = value, now_s

    def _ask(self, name: str) -> int:
        try:
            return int(getattr(self._nvml, name)(self._handle))
        except self._nvml.NVMLError_NoPermission as error:
            raise AccessLost(f"{self.domains[0]}: {name} is not allowed any more ({error})") from None
        except self._nvml.NVMLError as error:
            raise DomainVanished(f"{self.domains[0]}: {name} fails ({error})") from None
