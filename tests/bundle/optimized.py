"""What onnxruntime makes of a bundle's graphs: the operators of the optimized graphs, and which of them multiplies which layer."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from paredown.runtime import session as sessions
from paredown.runtime.bundle_files import WEIGHTS, read_manifest
from paredown.runtime.weights import Weights

PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm")
BLOCKED_CONVOLUTION = "Conv in onnxruntime's own layout"


@dataclass(frozen=True)
class Use:
    """How the optimized graph takes a layer's weight: the operator, the weight's element type, and MatMulNBits' bits (else 0)."""

    operator: str
    dtype: int
    bits: int = 0


@contextmanager
def dumped(path: Path) -> Iterator[None]:
    """Sessions made inside write their optimized graph to `path`."""
    original = sessions._session_options

    def with_path(*arguments: Any) -> Any:
        options = original(*arguments)
        options.optimized_model_filepath = str(path)
        return options

    sessions._session_options = with_path
    try:
        yield
    finally:
        sessions._session_options = original


def optimized_graphs(bundle: Path, folder: Path) -> dict[str, onnx.ModelProto]:
    """The graphs of a bundle as its own runtime loads them, by name, optimized for this CPU."""
    manifest = read_manifest(bundle)
    weights = Weights(bundle / WEIGHTS, manifest.tensors)
    models = {}
    for record in manifest.graphs:
        path = folder / f"optimized-{record.file}"
        with dumped(path):
            sessions.Graph(bundle / record.file, weights.initializers(record.initializers))
        models[record.file.removesuffix(".onnx")] = onnx.load(path)
    return models


def operators(models: Mapping[str, onnx.ModelProto]) -> Counter[str]:
    """The histogram of all graphs."""
    return Counter(node.op_type for model in models.values() for node in model.graph.node)


def uses_of_layers(bundle: Path, models: Mapping[str, onnx.ModelProto]) -> dict[str, Use]:
    """Of every layer in the manifest, what takes its weight.

    A convolution's weight that onnxruntime has put into a layout of its own has no name any more: `BLOCKED_CONVOLUTION`.
    """
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    found: dict[str, Use] = {}
    for name, graph in manifest["graphs"].items():
        model = models[name].graph
        types = {tensor.name: tensor.data_type for tensor in model.initializer}
        for entry in graph["initializers"]:
            paths = [tensor.removesuffix(".weight") for tensor in entry["tensors"] if tensor.removesuffix(".weight") in manifest["layers"]]
            if not paths or "scales" in entry["form"]:
                continue
            takers = [node for node in model.node if entry["name"] in node.input]
            use = Use(BLOCKED_CONVOLUTION, TensorProto.FLOAT)
            if takers:
                (taker,) = takers
                bits = next((attribute.i for attribute in taker.attribute if attribute.name == "bits"), 0)
                use = Use(taker.op_type, types[entry["name"]], bits)
            found |= dict.fromkeys(paths, use)
    return found
