"""onnxruntime sessions: graphs whose weights are handed over in memory, and the decoder's step with its caches.

`InferenceSession.run` wraps NumPy arrays on the way in and its own memory on the way out, without a copy on either; measured with
28 inputs and 14 outputs a step it costs less than IOBinding, which binds every name by its own Python call.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Graph:
    """An ONNX graph ready to run on the CPU. It keeps the weights alive: onnxruntime reads them where they lie."""

    def __init__(
        self, path: Path, weights: Mapping[str, NDArray[np.float32] | NDArray[np.int8]], threads: int, rest_after_run: bool = False
    ) -> None:
        """Raises onnxruntime's own error if the graph needs a weight that is not in `weights`.

        `rest_after_run`: worker threads stop spinning when a run ends (two sessions would otherwise spin against each other).
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        if rest_after_run:
            options.add_session_config_entry("session.force_spinning_stop", "1")
        self._weights = dict(weights)
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._weights.values()]
        if self._values:
            options.add_external_initializers(list(self._weights), self._values)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs: dict[str, list[int | str]] = {entry.name: entry.shape for entry in self._session.get_inputs()}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[np.float32] | NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """The named outputs, in their order."""
        arrays: Any = self._session.run(outputs, inputs)
        return list(arrays)


class DecoderSteps:
    """The decoder as beam search wants it (`paredown.runtime.beam.StepModel`): a step's new caches are the next step's inputs.

    Caches: keys and values [beam, heads, steps so far, units of a head] of every layer; memory: [1, heads, frames, units of a head].
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._caches = sorted(name for name in graph.inputs if name.startswith("self_"))
        self._outputs = ["scores", "ids", *(f"new_{name}" for name in self._caches)]
        self._inputs: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {}

    def listen(self, memory_keys: Floats, memory_values: Floats) -> None:
        """Take the encoder's outputs of one utterance [layers, heads, frames, units] as the memory of the steps that follow."""
        for layer in range(len(memory_keys)):
            self._inputs[f"memory_keys_{layer}"] = memory_keys[layer : layer + 1]
            self._inputs[f"memory_values_{layer}"] = memory_values[layer : layer + 1]

    def start(self) -> None:
        """Forget the self-attention caches."""
        for name in self._caches:
            _, heads, _, units = self._graph.inputs[name]
            self._inputs[name] = np.zeros((1, int(heads), 0, int(units)), np.float32)

    def step(self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int) -> tuple[Floats, NDArray[np.int64]]:
        """Log-probabilities and ids [beam, k] of the best next tokens; see `StepModel.step`."""
        self._inputs |= {"tokens": tokens, "position": np.array([position]), "order": order, "k": np.array([k])}
        scores, ids, *caches = self._graph.run(self._outputs, self._inputs)
        self._inputs |= zip(self._caches, caches, strict=True)
        return scores, ids.astype(np.int64, copy=False)
