"""Opens hand-built graphs for tests: weights from plain arrays, by another road than the runtime's."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from paredown.bundle.graph import Graph
from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Initializer


def dense(tensor: Tensor) -> np.ndarray:
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: dense(tensor).shape for name, tensor in tensors.items()}


def make(initializer: Initializer, tensors: Mapping[str, Tensor]) -> np.ndarray:
    parts = []
    for index, name in enumerate(initializer.tensors):
        tensor, factor = tensors[name], np.float32(initializer.factors[index] if initializer.factors else 1.0)
        if initializer.form.startswith("codes"):
            parts.append(tensor.codes)
        elif initializer.form.startswith("scales"):
            parts.append(np.broadcast_to(tensor.scales, len(tensor.codes)) * factor)
        else:
            parts.append(dense(tensor) * factor)
    joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if initializer.form.endswith("_transposed"):
        joined = joined.reshape(len(joined), -1).T
    elif initializer.form == "scales_column":
        joined = joined[:, None]
    return np.ascontiguousarray(joined if initializer.shape is None else joined.reshape(initializer.shape))


def open_session(graph: Graph, tensors: Mapping[str, Tensor], optimized: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    arrays = {entry.name: make(entry, tensors) for entry in graph.initializers}
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options.add_external_initializers(list(arrays), values)
    session = onnxruntime.InferenceSession(graph.serialize(), options, providers=["CPUExecutionProvider"])
    session.weights = (arrays, values)  # type: ignore[attr-defined]  # onnxruntime reads them where they lie
    return session


def run(graph: Graph, tensors: Mapping[str, Tensor], inputs: Mapping[str, Any]) -> list[np.ndarray]:
    outputs: list[np.ndarray] = open_session(graph, tensors).run(None, dict(inputs))
    return outputs


def count_operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def multiplied_constants(model: onnx.ModelProto) -> list[str]:
    """Constant float32 operands of fp32 products in a model."""
    floats = {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm", "FusedMatMul", "FusedGemm")]
    return [name for node in products for name in node.input[:2] if name in floats]
