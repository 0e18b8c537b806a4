"""Footprints of real bundles: what is in the process that is measured, and what is not."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import soundfile

torch = pytest.importorskip("torch")

from paredown.bundle import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.profilers import machine_lock  # noqa: E402
from paredown.runtime.session import CUDA, Target  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Scheme  # noqa: E402
from paredown.trials import footprint  # noqa: E402
from paredown.trials.footprint import measure_footprint  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's peak memory is read from /proc")


DECODE = Decode(beam_size=3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(
        shared_model(), compress_model(shared_model(), Configuration(decode=DECODE)), tmp_path_factory.mktemp("bundles") / "fp32"
    )


def test_the_process_imports_nothing_but_the_runtime() -> None:
    program = "import sys, paredown.trials.fresh_process; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    parts = {".".join(name.split(".")[:2]) for name in modules if name.startswith("paredown.")}
    assert parts == {"paredown.errors", "paredown.runtime", "paredown.trials"}
    assert [name for name in modules if name.startswith("paredown.trials.")] == ["paredown.trials.fresh_process"]
    assert not {"torch", "onnx", "scipy", "optuna", "espnet2"} & set(modules)


def test_a_bundle_is_loaded_in_processes_of_their_own(bundle: Path) -> None:
    found = measure_footprint(bundle, audio=1.0, fixed_tokens=3, repeats=2)
    assert len(found.runs) == 2
    assert found.load_ci95_ms[0] <= found.load_median_ms <= found.load_ci95_ms[1]
    assert found.model_parameters == shared_model().inference_parameters
    assert found.stored_parameters == found.model_parameters - 2 * 2 * 16  # two batch norms are folded
    assert found.imported_bytes is not None
    assert found.peak_rss_bytes is not None
    assert 10e6 < found.imported_bytes < found.peak_rss_bytes
    [target] = {measurement.target for measurement in found.to_measurements().values()}
    assert target


def test_memory_of_the_parent_is_not_counted(bundle: Path) -> None:
    """ru_maxrss would count it: what the parent had up to exec."""
    plain = measure_footprint(bundle, audio=1.0, fixed_tokens=3, repeats=1)
    ballast = np.ones(75_000_000)  # 600 MB, touched
    beside = measure_footprint(bundle, audio=1.0, fixed_tokens=3, repeats=1)
    assert plain.peak_rss_bytes is not None
    assert beside.peak_rss_bytes is not None
    assert beside.peak_rss_bytes < plain.peak_rss_bytes + ballast.nbytes / 10


def test_weights_and_longer_audio_are_seen_in_the_peak(tmp_path: Path, bundle: Path) -> None:
    wide = make_model(output_size=256, linear_units=16384)
    large = write_bundle(wide, compress_model(wide, Configuration(scheme=Scheme(kernel="fp32"), decode=DECODE)), tmp_path / "large")
    weights = (large / "weights.bin").stat().st_size
    assert weights > 100e6
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    small, big = (measure_footprint(one, audio=tmp_path / "a.wav", fixed_tokens=2, repeats=1) for one in (bundle, large))
    assert small.peak_rss_bytes is not None
    assert big.peak_rss_bytes is not None
    assert big.peak_rss_bytes > small.peak_rss_bytes + 0.9 * weights
    longer = measure_footprint(bundle, audio=120.0, fixed_tokens=2, repeats=1)
    assert longer.peak_rss_bytes is not None
    assert longer.peak_rss_bytes > small.peak_rss_bytes + 20e6


def test_the_machine_is_held_meanwhile(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine_lock, "lock_path", lambda: tmp_path / "lock")
    held = []

    def run(command: object, env: object) -> dict[str, float]:
        with pytest.raises((BadInput, RuntimeError)), machine_lock.machine_lock(timeout_s=0.0):
            pass
        held.append(command)
        return {"load_ms": float(len(held)), "imported_bytes": 1, "peak_rss_bytes": 2}

    monkeypatch.setattr(footprint, "run_fresh", run)
    found = measure_footprint(bundle, repeats=3)
    assert [run.load_ms for run in found.runs] == [2.0, 3.0, 4.0]  # the first warms the cache of files
    with machine_lock.machine_lock(timeout_s=0.0):
        pass


def test_what_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at least 1 process, got 0"):
        measure_footprint(bundle, repeats=0)
    with pytest.raises(BadInput, match="a bundle is a folder"):
        measure_footprint(tmp_path / "missing")
    with pytest.raises(BadInput, match=r"audio.*missing\.wav"):
        measure_footprint(bundle, audio=tmp_path / "missing.wav", repeats=1)
    with pytest.raises(BadInput, match="target must be one of cpu, cuda, got 'tpu'"):
        measure_footprint(bundle, target="tpu", repeats=1)  # type: ignore[arg-type]


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="onnxruntime here has CUDA")
def test_a_target_that_is_not_there_is_refused(bundle: Path) -> None:
    with pytest.raises(BadInput, match="target cuda needs onnxruntime's GPU build"):
        measure_footprint(bundle, target="cuda", repeats=1)


@pytest.mark.gpu
@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="onnxruntime here has no CUDA: install paredown[gpu]")
def test_the_process_on_a_gpu_takes_more_memory(bundle: Path) -> None:
    """The libraries of CUDA lie in it."""
    cpu, cuda = (measure_footprint(bundle, target=target, audio=1.0, fixed_tokens=3, repeats=1) for target in get_args(Target))
    assert cpu.peak_rss_bytes is not None
    assert cuda.peak_rss_bytes is not None
    assert cuda.peak_rss_bytes > cpu.peak_rss_bytes + 50e6
    assert cuda.target != cpu.target
