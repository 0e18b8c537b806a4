"""The GPU: whether onnxruntime can use it, tried and not looked up."""

from collections.abc import Iterator
from pathlib import Path

from paredown.doctor.finding import Finding
from paredown.profilers.fingerprint import read_fingerprint

SECTION = "GPU"
CUDA = "CUDAExecutionProvider"
INSTALL = (
    "pip install 'paredown[gpu]'; pip uninstall -y onnxruntime onnxruntime-gpu; pip install 'onnxruntime-gpu[cuda,cudnn]' "
    "(the two packages share their files)"
)


def look_at_accelerator(root: Path = Path("/")) -> Iterator[Finding]:
    """The device itself, then a graph that is run on it. `root`: where /proc is looked up."""
    device = read_fingerprint(threads=1, device="cuda", root=root).accelerator
    if device is None:
        yield Finding(
            SECTION, "NVIDIA GPU", "missing", "none", "no /proc/driver/nvidia/gpus", "a machine with an NVIDIA GPU and its driver"
        )
        return
    yield Finding(SECTION, "NVIDIA GPU", "ok", device, "/proc/driver/nvidia")
    yield _provider()


def _provider() -> Finding:
    import onnxruntime

    offered = onnxruntime.get_available_providers()
    if CUDA not in offered:
        return Finding(SECTION, "run on the GPU", "missing", "onnxruntime without CUDA", f"providers: {', '.join(offered)}", INSTALL)
    used = providers_in_use()
    if CUDA in used:
        return Finding(SECTION, "run on the GPU", "ok", "CUDA", "a graph was run on it")
    enable = "pip install 'onnxruntime-gpu[cuda,cudnn]': its CUDA libraries could not be loaded"
    return Finding(SECTION, "run on the GPU", "missing", "CUDA cannot be used", f"a graph fell back to {', '.join(used)}", enable)


def providers_in_use() -> list[str]:
    """The providers of a session that asked for CUDA and was run once."""
    import numpy as np
    import onnx
    import onnxruntime

    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "trial", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a provider that fails is what is looked for, not an error to print
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CUDA, "CPUExecutionProvider"])
    session.run(None, {"x": np.ones(1, np.float32)})
    return list(session.get_providers())
