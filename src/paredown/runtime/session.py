"""onnxruntime sessions: graphs whose weights are handed over in memory, on the CPU or on a GPU.

On a CPU `InferenceSession.run` wraps NumPy arrays on the way in and its own memory on the way out, without a copy on either; measured with
28 inputs and 14 outputs a step it costs less than IOBinding, which binds every name by its own Python call. On a GPU arrays are copied at
every call, unless a value stays there: `Graph.put` and `keep` of `Graph.run`.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.bundle_files import ROUNDING, Manifest
from paredown.runtime.numbers import is_whole
from paredown.runtime.weights import Array

Target = Literal["cpu", "cuda"]
CUDA = "CUDAExecutionProvider"
MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))
# TF32 would round fp32 products to 10 bits; the exhaustive search for convolutions, onnxruntime's default, starts anew at every length.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


@dataclass(frozen=True)
class SessionSettings:
    """How onnxruntime runs the graphs of a bundle.

    `threads`: threads of one operator, on the CPU. `target`: "cpu" or "cuda". `arena`: keep memory that a run has freed for the next one
    instead of giving it back to the system: faster where lengths change, for a few percent more memory. `spinning`: worker threads wait
    for the next operator by spinning, which is faster and keeps their cores busy. `rounding`: products of kernel "nbits" round their
    activations to int8 on a CPU; without it they compute as on a GPU, twice as slowly at 4 bits and 30 times at 8.
    Raises BadInput for a setting that is impossible.
    """

    threads: int = 1
    target: Target = "cpu"
    arena: bool = True
    spinning: bool = True
    rounding: bool = True

    def __post_init__(self) -> None:
        if not is_whole(self.threads) or not 1 <= self.threads <= MOST_THREADS:
            raise BadInput(f"threads must be a whole number in [1, {MOST_THREADS}], got {self.threads!r}")
        if self.target not in get_args(Target):
            raise BadInput(f"target must be one of {', '.join(get_args(Target))}, got {self.target!r}")


def check_target(manifest: Manifest, target: Target) -> None:
    """Raises BadInput where a kernel of the bundle does not run on the target."""
    if target == "cuda" and "int8" in manifest.kernels:  # onnxruntime has no CUDA kernel for DynamicQuantizeMatMul
        raise BadInput("kernel int8 runs on the CPU alone, got target cuda: convert the model with kernel nbits, fp16 or fp32")


class Graph:
    """An ONNX graph ready to run. It keeps the weights alive: onnxruntime reads them where they lie."""

    def __init__(
        self, path: Path, weights: Mapping[str, Array], settings: SessionSettings | None = None, rest_after_run: bool = False
    ) -> None:
        """Raises onnxruntime's own error if the graph needs a weight that is not in `weights`, BadInput if the target cannot be used.

        `rest_after_run`: worker threads stop spinning when a run ends (two sessions would otherwise spin against each other).
        """
        settings = SessionSettings() if settings is None else settings
        options = _session_options(settings, rest_after_run)
        self._weights = dict(weights)
        if ROUNDING in weights:
            self._weights[ROUNDING] = np.array(settings.rounding)
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._weights.values()]
        if self._values:
            options.add_external_initializers(list(self._weights), self._values)
        self._target = settings.target
        self._session = onnxruntime.InferenceSession(path, options, providers=_providers(settings.target))
        if settings.target == "cuda" and CUDA not in self._session.get_providers():
            raise BadInput(
                "target cuda needs an NVIDIA GPU and the CUDA libraries that onnxruntime was built for; it could not use them here"
            )
        self.inputs: dict[str, list[int | str]] = {entry.name: entry.shape for entry in self._session.get_inputs()}

    def put(self, array: NDArray[Any]) -> Any:
        """The array where the graph runs, as an input for many runs: itself on the CPU, a copy on the GPU."""
        return array if self._target == "cpu" else onnxruntime.OrtValue.ortvalue_from_numpy(array, self._target, 0)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Collection[str] = ()) -> list[Any]:
        """The named outputs, in their order: arrays. Inputs are arrays, or what `put` and `keep` gave.

        `keep`: outputs that will be inputs again: on a GPU they stay there, as onnxruntime's OrtValue (`.numpy()` fetches one).
        """
        if self._target == "cpu":
            return list(self._session.run(outputs, inputs))
        return run_bound(self._session, self._target, outputs, inputs, keep)


def run_bound(
    session: onnxruntime.InferenceSession, device: str, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Collection[str]
) -> list[Any]:
    """One run in which the outputs named in `keep` stay on the device; see `Graph.run`."""
    binding = session.io_binding()
    for name, value in inputs.items():
        if isinstance(value, onnxruntime.OrtValue):
            binding.bind_ortvalue_input(name, value)
        else:
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
    for name in outputs:
        binding.bind_output(name, device if name in keep else "cpu")
    session.run_with_iobinding(binding)
    return [value if name in keep else value.numpy() for name, value in zip(outputs, binding.get_outputs(), strict=True)]


def _session_options(settings: SessionSettings, rest_after_run: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = settings.arena
    options.enable_mem_pattern = False  # a plan for every length: neither faster nor smaller (measured)
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spinning else "0")
    if rest_after_run:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _providers(target: Target) -> list[Any]:
    """Raises BadInput if the installed onnxruntime is not built for the target."""
    if target == "cpu":
        return ["CPUExecutionProvider"]
    if CUDA not in onnxruntime.get_available_providers():
        raise BadInput("target cuda needs onnxruntime's GPU build, got the CPU build: install paredown[gpu] in place of onnxruntime")
    onnxruntime.preload_dlls()  # CUDA and cuDNN where pip has put them
    return [(CUDA, _CUDA_OPTIONS), "CPUExecutionProvider"]
