"""Opens hand-built graphs for tests: weights from plain arrays, by another road than the runtime's."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from paredown.bundle.graphs.graph import Graph
from paredown.compress.tensors import Quantized, Tensor
from paredown.runtime.bundle_files import Initializer


def dense(tensor: Tensor) -> np.ndarray:
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: dense(tensor).shape for name, tensor in tensors.items()}


def make(initializer: Initializer, tensors: Mapping[str, Tensor]) -> np.ndarray:
    if initializer.form == "rounding":
        return np.array(True)
    if initializer.form.startswith("range_"):
        [name] = initializer.tensors
        return steps_of(tensors[name])[initializer.form == "range_zeros"]
    parts = []
    for index, name in enumerate(initializer.tensors):
        tensor, factor = tensors[name], np.float32(initializer.factors[index] if initializer.factors else 1.0)
        if initializer.form.startswith(("codes", "nbits")):
            parts.append(tensor.codes)
        elif "scales" in initializer.form:
            parts.append(np.broadcast_to(tensor.scales, len(tensor.codes)) * factor)
        else:
            parts.append(dense(tensor) * factor)
    joined = np.concatenate(parts) if len(parts) > 1 else parts[0]
    if initializer.form.endswith("_transposed"):
        joined = joined.reshape(len(joined), -1).T
    elif initializer.form == "scales_column":
        joined = joined[:, None]
    elif initializer.form == "block_scales":
        joined = np.broadcast_to(joined[:, None], initializer.shape)
    elif initializer.form.startswith("nbits"):
        joined = blocks_of(joined.reshape(len(joined), -1), int(initializer.form[5:]), initializer.shape)
    joined = joined.astype(np.float16) if initializer.form.startswith("half") else joined
    return np.ascontiguousarray(joined if initializer.shape is None else joined.reshape(initializer.shape))


def steps_of(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points of ranges [n, 2] as ONNX's DynamicQuantizeLinear documents them."""
    scales = (ranges[:, 1] - ranges[:, 0]) / np.float32(255)
    return scales, np.rint(np.clip(-ranges[:, 0] / scales, 0, 255)).astype(np.uint8)


def blocks_of(codes: np.ndarray, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """MatMulNBits' weights as its documentation words them: unsigned codes around 2^(bits-1), their bits in a row, lowest first."""
    missing = shape[1] * shape[2] * 8 // bits - codes.shape[1]
    unsigned = np.pad(codes.astype(int), ((0, 0), (0, missing))) + 2 ** (bits - 1)
    fields = (unsigned[:, :, None] >> np.arange(bits)) & 1
    return np.packbits(fields.reshape(*shape[:2], -1), axis=-1, bitorder="little")


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
