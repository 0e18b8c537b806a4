"""A fake of the module `pynvml`: its functions autospec'd where it is installed, so that calls with wrong arguments fail."""

import importlib
from types import SimpleNamespace
from typing import Any
from unittest import mock

PID_OF_ANOTHER = 4242


class FakeError(Exception):
    """NVML's error where the module is not there."""


class FakeNotSupported(FakeError):
    pass


class FakeNoPermission(FakeError):
    pass


CONSTANTS = {
    "NVML_CLOCK_SM": 1,
    "NVML_CLOCK_MEM": 2,
    "NVML_TEMPERATURE_GPU": 0,
    "nvmlClocksEventReasonGpuIdle": 1,
    "nvmlClocksEventReasonSwPowerCap": 4,
    "nvmlClocksEventReasonHwThermalSlowdown": 0x40,
}
ERRORS = {"NVMLError": FakeError, "NVMLError_NotSupported": FakeNotSupported, "NVMLError_NoPermission": FakeNoPermission}
FUNCTIONS = (
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetName",
    "nvmlSystemGetDriverVersion",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
)


class FakeGpu:
    """What the device does: `energy_j` it has drawn, `power_w` it draws. `module` is what stands for pynvml."""

    def __init__(self, counts: bool = True) -> None:
        self.energy_j, self.power_w, self.counts = 5000.0, 70.0, counts
        self.module = _module()
        self.lost = False
        nvml = self.module
        nvml.nvmlDeviceGetTotalEnergyConsumption.side_effect = lambda handle: self._answer(int(self.energy_j * 1000.0), self.counts)
        nvml.nvmlDeviceGetPowerUsage.side_effect = lambda handle: self._answer(int(self.power_w * 1000.0), True)
        nvml.nvmlDeviceGetEnforcedPowerLimit.return_value = 700_000
        nvml.nvmlDeviceGetClockInfo.side_effect = lambda handle, kind: {1: 1980, 2: 3201}[kind]
        nvml.nvmlDeviceGetTemperature.side_effect = lambda handle, kind: 41
        nvml.nvmlDeviceGetCurrentClocksEventReasons.return_value = 4 | 0x40 | 1 << 40
        nvml.nvmlDeviceGetComputeRunningProcesses.return_value = [SimpleNamespace(pid=PID_OF_ANOTHER)]
        nvml.nvmlDeviceGetGraphicsRunningProcesses.return_value = []
        nvml.nvmlDeviceGetName.return_value = "NVIDIA Fake"
        nvml.nvmlSystemGetDriverVersion.return_value = "580.1"

    def _answer(self, value: int, supported: bool) -> int:
        if self.lost:
            raise _error(self.module.NVMLError_NoPermission)
        if not supported:
            raise _error(self.module.NVMLError_NotSupported)
        return value


def _module() -> Any:
    try:
        real = importlib.import_module("pynvml")
    except ImportError:
        fake = mock.MagicMock(spec=[*FUNCTIONS, *CONSTANTS, *ERRORS])
        fake.configure_mock(**CONSTANTS, **ERRORS)
        return fake
    plain = {name: value for name, value in vars(real).items() if isinstance(value, int | str | type)}
    return SimpleNamespace(**plain, **{name: mock.create_autospec(getattr(real, name)) for name in FUNCTIONS})


def _error(kind: Any) -> Exception:
    """The real classes take a code that they set themselves."""
    return kind()  # type: ignore[no-any-return]
