import os
from types import SimpleNamespace

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.base import CounterReset, StateChanged
from paredown.profilers.energy.gpu_conditions import decode_reasons, other_processes
from paredown.profilers.energy.nvml import NvmlSource, device_handle
from tests.profilers.energy.fake_nvml import PID_OF_ANOTHER, FakeGpu
from tests.profilers.energy.rigs import SimulatedClock, nvml_rig


def test_clocks_and_throttling_are_told() -> None:
    rig = nvml_rig(counts=True)
    rig.source.start()
    rig.draw(6.0, 30.0)
    rig.source.stop()
    detail = dict(rig.source.detail())
    assert (detail["sm_mhz_min"], detail["sm_mhz_median"], detail["memory_mhz_median"]) == (1980, 1980.0, 3201.0)
    assert detail["clock_reasons"] == "hardware thermal slowdown, power cap, unknown 0x10000000000"
    assert (detail["gpu_temperature_c_max"], detail["gpu_power_limit_w"], detail["other_gpu_processes"]) == (41, 700.0, 1)


def test_idle_is_no_throttling() -> None:
    gpu = FakeGpu()
    assert decode_reasons(gpu.module, 1) == ("idle",)
    gpu.module.nvmlDeviceGetCurrentClocksEventReasons.return_value = 1
    source = NvmlSource(gpu.module)
    source.start()
    assert dict(source.detail())["clock_reasons"] == "none"


def test_this_process_is_none_of_the_others() -> None:
    gpu = FakeGpu()
    gpu.module.nvmlDeviceGetGraphicsRunningProcesses.return_value = [SimpleNamespace(pid=os.getpid())]
    assert other_processes(gpu.module, None) == (PID_OF_ANOTHER,)


def test_a_counter_that_falls_is_refused() -> None:
    gpu, clock = FakeGpu(), SimulatedClock()
    source = NvmlSource(gpu.module, clock=clock, sleep=clock.sleep)
    source.start()
    gpu.energy_j = 1.0
    with pytest.raises(CounterReset, match="the driver set it back"):
        source.stop()


def test_samples_that_come_late_are_no_integral() -> None:
    clock = SimulatedClock()
    source = NvmlSource(FakeGpu(counts=False).module, clock=clock, sleep=clock.sleep)
    source.start()
    clock.sleep(2.0)
    with pytest.raises(StateChanged, match="power was not sampled for 2 s"):
        source.stop()


def test_the_window_begins_when_the_counter_moves() -> None:
    gpu, clock = FakeGpu(), SimulatedClock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        gpu.energy_j += 1.0 if clock.now_s > 1000.1 else 0.0

    source = NvmlSource(gpu.module, clock=clock, sleep=sleep)
    source.start()
    assert clock.now_s == pytest.approx(1000.1, abs=0.01)


def test_cuda_visible_devices_renumbers(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    device_handle(gpu.module, 0)
    gpu.module.nvmlDeviceGetHandleByIndex.assert_called_with(3)
    device_handle(gpu.module, 1)
    gpu.module.nvmlDeviceGetHandleByUUID.assert_called_with("GPU-abc")
    with pytest.raises(BadInput, match="GPU 2 is not among CUDA_VISIBLE_DEVICES"):
        device_handle(gpu.module, 2)


def test_no_driver_is_bad_input() -> None:
    gpu = FakeGpu()
    gpu.module.nvmlInit.side_effect = gpu.module.NVMLError_NotSupported
    with pytest.raises(BadInput, match="is the NVIDIA driver loaded"):
        NvmlSource(gpu.module)


@pytest.mark.parametrize("fault", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetTotalEnergyConsumption"])
def test_nvml_is_given_back_where_the_gpu_is_refused(fault: str) -> None:
    gpu = FakeGpu()
    getattr(gpu.module, fault).side_effect = gpu.module.NVMLError_NoPermission
    with pytest.raises(BadInput, match="NVML must reach GPU 0"):
        NvmlSource(gpu.module)
    gpu.module.nvmlShutdown.assert_called_once_with()


def test_power_is_integrated_between_two_samples() -> None:
    gpu, clock = FakeGpu(counts=False), SimulatedClock()
    source = NvmlSource(gpu.module, clock=clock, sleep=clock.sleep)
    gpu.power_w = 100.0
    source.start()
    clock.sleep(0.1)
    gpu.power_w = 300.0
    assert source.stop() == {"gpu-0": pytest.approx(20.0)}  # 200 W in the mean, for a tenth of a second
