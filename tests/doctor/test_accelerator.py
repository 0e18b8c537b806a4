"""What the doctor says of GPUs: of faked ones, and of a session that is really made."""

from pathlib import Path

import onnxruntime
import pytest

from paredown.doctor import accelerator
from paredown.doctor.accelerator import CUDA, look_at_accelerator, providers_in_use


def gpu(root: Path) -> Path:
    folder = root / "proc/driver/nvidia/gpus/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA H200\n")
    (root / "proc/driver/nvidia/version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.35.03\n")
    return root


def test_without_a_gpu_there_is_one_line(tmp_path: Path) -> None:
    (only,) = look_at_accelerator(tmp_path)
    assert only.state == "missing"


def test_a_gpu_that_the_installed_runtime_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    device, provider = look_at_accelerator(gpu(tmp_path))
    assert device.found == "NVIDIA H200, driver 560.35.03"
    assert provider.state == "missing"
    assert "onnxruntime-gpu[cuda,cudnn]" in provider.enable


@pytest.mark.parametrize(("used", "state"), [([CUDA, "CPUExecutionProvider"], "ok"), (["CPUExecutionProvider"], "missing")])
def test_what_counts_is_the_graph_that_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: list[str], state: str) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(accelerator, "providers_in_use", lambda: used)
    _, provider = look_at_accelerator(gpu(tmp_path))
    assert provider.state == state


def test_a_session_is_made_and_run() -> None:
    assert "CPUExecutionProvider" in providers_in_use()
