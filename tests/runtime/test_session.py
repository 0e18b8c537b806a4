"""Sessions: settings that reach onnxruntime, targets that are refused in one line, values that stay on a device."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime import session as sessions
from paredown.runtime.bundle_files import read_manifest
from paredown.runtime.session import Graph, SessionSettings, check_target, run_bound
from tests.runtime.toy_bundle import HEADS, MELS, UNITS, make_encoder, make_tensors, write_toy_bundle

PROJECT = np.random.default_rng(0).standard_normal((MELS, HEADS * UNITS)).astype(np.float32)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(make_encoder().SerializeToString())
    return path


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[onnxruntime.SessionOptions]:
    """The options of every session that is made."""
    seen: list[onnxruntime.SessionOptions] = []
    real = onnxruntime.InferenceSession

    def record(path: Path, options: onnxruntime.SessionOptions, providers: Any) -> Any:
        seen.append(options)
        return real(path, options, providers=providers)

    monkeypatch.setattr(sessions.onnxruntime, "InferenceSession", record)
    return seen


def features(frames: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((frames, MELS)).astype(np.float32)


def test_settings_reach_onnxruntime(encoder: Path, options: list[onnxruntime.SessionOptions]) -> None:
    Graph(encoder, {"project": PROJECT}, SessionSettings(threads=2, arena=False, spinning=False))
    Graph(encoder, {"project": PROJECT}, rest_after_run=True)
    frugal, plain = options
    assert (frugal.intra_op_num_threads, frugal.inter_op_num_threads, plain.intra_op_num_threads) == (2, 1, 1)
    assert (frugal.enable_cpu_mem_arena, plain.enable_cpu_mem_arena) == (False, True)
    assert not frugal.enable_mem_pattern
    assert [each.get_session_config_entry("session.intra_op.allow_spinning") for each in options] == ["0", "1"]
    assert plain.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize("settings", [{"arena": False}, {"spinning": False}, {"threads": 2}])
def test_settings_do_not_change_results(encoder: Path, settings: dict[str, Any]) -> None:
    plain = Graph(encoder, {"project": PROJECT}).run(["memory_values"], {"features": features()})
    other = Graph(encoder, {"project": PROJECT}, SessionSettings(**settings)).run(["memory_values"], {"features": features()})
    np.testing.assert_array_equal(plain[0], other[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(({"threads": bad}, rf"threads must be a whole number in \[1, \d+\], got {bad}") for bad in (0, 1.5, True, 10**11)),
        ({"target": "tpu"}, "target must be .*cuda, got 'tpu'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SessionSettings(**settings)


def test_cuda_without_its_build_of_onnxruntime_names_the_extra(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BadInput, match=r"target cuda needs .*paredown\[gpu\]") as raised:
        Graph(encoder, {"project": PROJECT}, SessionSettings(target="cuda"))
    assert "\n" not in str(raised.value)


def test_cuda_that_cannot_be_used_is_no_silent_run_on_the_cpu(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime warns and goes on with the CPU where a provider does not start."""
    monkeypatch.setattr(sessions, "_providers", lambda target: ["CPUExecutionProvider"])
    with pytest.raises(BadInput, match="target cuda needs an NVIDIA GPU"):
        Graph(encoder, {"project": PROJECT}, SessionSettings(target="cuda"))


def test_int8_kernels_are_refused_on_cuda(tmp_path: Path) -> None:
    manifest = read_manifest(write_toy_bundle(tmp_path / "bundle", make_tensors()))
    check_target(manifest, "cuda")
    for kernels, target, refused in (({"int8", "fp32"}, "cuda", True), ({"nbits", "fp16"}, "cuda", False), ({"int8"}, "cpu", False)):
        bundle = replace(manifest, kernels=frozenset(kernels))
        if refused:
            with pytest.raises(BadInput, match=r"int8 runs on the CPU alone.*nbits, fp16 or fp32"):
                check_target(bundle, target)
        else:
            check_target(bundle, target)


def test_what_is_kept_on_the_device_is_the_output_and_may_be_an_input(encoder: Path) -> None:
    """On the CPU, which is a device too: the run that a GPU takes, without one."""
    graph = Graph(encoder, {"project": PROJECT})
    keys, values = graph.run(["memory_keys", "memory_values"], {"features": features()}, keep=["memory_keys"])
    assert isinstance(keys, np.ndarray)  # nothing to keep: arrays are where the graph runs
    inputs = {"features": onnxruntime.OrtValue.ortvalue_from_numpy(features())}
    for given in (inputs, {"features": features()}, {"features": np.asfortranarray(features())}):
        kept, fetched = run_bound(graph._session, "cpu", ["memory_keys", "memory_values"], given, ["memory_keys"])
        assert isinstance(kept, onnxruntime.OrtValue)
        np.testing.assert_array_equal(kept.numpy(), keys)
        np.testing.assert_array_equal(fetched, values)


def test_an_input_without_rows_can_be_bound(encoder: Path) -> None:
    graph = Graph(encoder, {"project": PROJECT})
    (kept,) = run_bound(graph._session, "cpu", ["memory_keys"], {"features": features(0)}, ["memory_keys"])
    assert kept.numpy().shape == (1, HEADS, 0, UNITS)


def test_putting_an_array_on_the_cpu_copies_nothing(encoder: Path) -> None:
    array = features()
    assert Graph(encoder, {"project": PROJECT}).put(array) is array
