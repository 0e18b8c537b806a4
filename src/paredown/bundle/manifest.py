"""The texts of a bundle: manifest, tokens, frontend settings. The same model and configuration give the same text, under any name."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from paredown.bundle.graphs.architecture import Architecture
from paredown.bundle.graphs.graph import IR_VERSION, OPSET, Graph
from paredown.bundle.memory import estimate_memory
from paredown.bundle.pack import Packed, Stored
from paredown.bundle.storage import BundleParts
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Quantized
from paredown.errors import BadInput
from paredown.runtime.bundle_files import SCHEMA
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import canonical_json, seal

if TYPE_CHECKING:
    from paredown.models import Model

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "torch", "espnet")  # what makes and checks a bundle


def graph_file(name: str) -> str:
    """The file of a graph: `encoder.onnx`, `decoder.onnx`, `ctc.onnx`."""
    return f"{name}.onnx"


def write_manifest(
    model: "Model",
    architecture: Architecture,
    compressed: CompressedModel,
    parts: BundleParts,
    packed: Packed,
    files: Mapping[str, bytes],
) -> str:
    """`manifest.json`; `files` are all other files of the bundle."""
    configuration = compressed.configuration
    return seal(
        {
            "schema": SCHEMA,
            "versions": read_versions(),
            "model": {
                "digest": model.digest,
                "task": model.task,
                "token_type": model.token_type,
                "sos": model.sos,
                "eos": model.eos,
                "subsampling_least_frames": architecture.encoder.least_frames,
                "dropped": list(model.dropped),
            },
            "configuration": json.loads(configuration.to_json()),
            "configuration_digest": configuration.digest,
            "calibration": None if compressed.calibrated_on is None else asdict(compressed.calibrated_on),
            "parameters": {"model": model.inference_parameters, "stored": sum(_size(tensor) for tensor in parts.tensors.values())},
            "memory": asdict(estimate_memory(architecture, parts.tensors, len(compressed.keep["decoder"]), model.frontend.n_fft)),
            "keep": {stack: list(indices) for stack, indices in compressed.keep.items()},
            "layers": _describe_layers(model, parts),
            "files": describe_files(files),
            "graphs": {name: _describe_graph(graph_file(name), graph) for name, graph in parts.graphs.items()},
            "tensors": [record.to_json() for record in packed.records],
        }
    )


def read_versions() -> dict[str, str | int]:
    """Versions that determine the bytes of what is written here: paredown's, its libraries', and those of the ONNX format."""
    versions: dict[str, str | int] = {"paredown": version("paredown"), "opset": OPSET, "ir": IR_VERSION}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def write_tokens(tokens: tuple[str, ...]) -> str:
    """`tokens.txt`, one token a line; raises BadInput for a token that is no line."""
    for token in tokens:
        if "\n" in token or "\r" in token:
            raise BadInput(f"a token must be one line of text, got {token!r}")
    return "".join(f"{token}\n" for token in tokens)


def write_frontend(model: "Model") -> str:
    """`frontend.json`: settings of the log-mel features and of their normalization."""
    settings = asdict(model.frontend)
    if settings.pop("normalized", False):
        raise BadInput("a bundle's frontend must not be a normalized STFT, got frontend_conf.normalized: true")
    return canonical_json(settings | {"normalize": _describe_normalization(model.network.normalize)})


def _describe_normalization(normalize: Any) -> dict[str, Any]:
    """By class name, so that no torch is imported here; the loader lets only these through."""
    if normalize is None:
        return {"kind": "none"}
    flags = {"norm_means": bool(normalize.norm_means), "norm_vars": bool(normalize.norm_vars)}
    kind = type(normalize).__name__
    if kind == "UtteranceMVN":
        return {"kind": "utterance", "eps": float(normalize.eps), **flags}
    if kind == "GlobalMVN":
        return {"kind": "global", "mean": _shortest(normalize.mean), "std": _shortest(normalize.std), **flags}
    raise BadInput(f"a bundle's normalization must be GlobalMVN, UtteranceMVN or none, got {kind}")


def _shortest(values: Any) -> list[float]:
    """Numbers that read back as the same float32, in as few digits as that takes."""
    return [float(str(value)) for value in np.asarray(values, np.float32)]


def _describe_graph(file: str, graph: Graph) -> dict[str, Any]:
    return {"file": file, "initializers": [initializer.to_json() for initializer in graph.initializers]}


def _describe_layers(model: "Model", parts: BundleParts) -> dict[str, Any]:
    """Of every stored layer: bit-width and kernel, the kernel's own width where that is another, share of zeros."""
    layers: dict[str, Any] = {}
    for layer in model.inventory().layers:
        tensor = parts.tensors.get(f"{layer.path}.weight")
        if tensor is not None:
            bits = tensor.bits if isinstance(tensor, Quantized) else 8 * tensor.dtype.itemsize
            entry: dict[str, Any] = {"bits": bits, "kernel": parts.kernels[layer.path]}
            if parts.nbits.get(layer.path, bits) != bits:
                entry["kernel_bits"] = parts.nbits[layer.path]
            if isinstance(tensor, Quantized) and tensor.mask is not None:
                entry["sparsity"] = round(1.0 - float(tensor.mask.mean()), 6)
            layers[layer.path] = entry
    return layers


def _size(tensor: Stored) -> int:
    return tensor.codes.size if isinstance(tensor, Quantized) else tensor.size
