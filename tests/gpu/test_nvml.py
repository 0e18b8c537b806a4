"""NVML on a real GPU: the energy of a fixed workload repeats. Run with `pytest -m gpu`."""

import statistics
import time
from collections.abc import Callable

import pytest

from paredown.errors import BadInput
from paredown.profilers.energy.meter import measure_window
from paredown.profilers.energy.nvml import NvmlSource
from paredown.profilers.energy.probe import find_sources

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
SIZE, WARMUP_S, REPEATS = 4096, 20.0, 5
SPREAD = 0.03  # the bar of the issue


@pytest.fixture(scope="module")
def source() -> NvmlSource:
    try:
        return NvmlSource()
    except BadInput as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def multiply() -> Callable[[int], None]:
    """So many products of two matrices; returns when the GPU is done."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch here sees no GPU")
    left, right = (torch.randn(SIZE, SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))

    def run(count: int) -> None:
        for _ in range(count):
            left @ right
        torch.cuda.synchronize()

    return run


def test_energy_of_a_fixed_workload_repeats(source: NvmlSource, multiply: Callable[[int], None]) -> None:
    count, begin = 0, time.monotonic()
    while time.monotonic() - begin < WARMUP_S:  # warm, and how many products two windows take
        multiply(100)
        count += 100
    count = round(count / WARMUP_S * 2 * source.min_window_s)
    energies = [measure_window(source, lambda: multiply(count)).energy_j for _ in range(REPEATS)]
    middle = statistics.median(energies)
    assert max(abs(energy - middle) for energy in energies) <= SPREAD * middle, energies


def test_the_probe_shows_the_device(source: NvmlSource) -> None:
    state = next(state for state in find_sources() if state.name == "nvml")
    assert state.available
    lines = dict(line.split(": ", 1) for line in state.evidence)
    assert {"device", "driver", "method"} <= set(lines)
    assert lines["method"] == source.method
