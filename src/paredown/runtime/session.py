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
