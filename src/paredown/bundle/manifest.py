"""The texts of a bundle: manifest, tokens, frontend settings. The same model and configuration give the same text, under any name."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from paredown.bundle.architecture import Architecture
from paredown.bundle.graph import IR_VERSION, OPSET, Graph
from paredown.bundle.pack import Packed
from paredown.bundle.storage import BundleParts
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Quantized, Tensor
from paredown.errors import BadInput
from paredown.runtime.bundle_files import SCHEMA

if TYPE_CHECKING:
    from paredown.models import Model

DECODER_FILE, ENCODER_FILE = "decoder.onnx", "encoder.onnx"
RAW_BITS = 32


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
    return dump(
        {
            "schema": SCHEMA,
            "versions": {"paredown": version("paredown"), "opset": OPSET, "ir": IR_VERSION},
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
            "parameters": {"model": model.inference_parameters, "stored": sum(_size(tensor) for tensor in parts.tensors.values())},
            "keep": {stack: list(indices) for stack, indices in compressed.keep.items()},
            "layers": _describe_layers(model, parts),
            "files": {file: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for file, data in files.items()},
            "graphs": {"encoder": _describe_graph(ENCODER_FILE, parts.encoder), "decoder": _describe_graph(DECODER_FILE, parts.decoder)},
            "tensors": [record.to_json() for record in packed.records],
        }
    )


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
    return dump(settings | {"normalize": _describe_normalization(model.network.normalize)})


def dump(value: Any) -> str:
    """JSON without spaces, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


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
    """Bit-width, kernel and share of zeros of every stored layer."""
    layers: dict[str, Any] = {}
    for layer in model.inventory().layers:
        tensor = parts.tensors.get(f"{layer.path}.weight")
        if tensor is not None:
            entry: dict[str, Any] = {"bits": tensor.bits if isinstance(tensor, Quantized) else RAW_BITS}
            entry["kernel"] = "int8" if layer.path in parts.int8 else "fp32"
            if isinstance(tensor, Quantized) and tensor.mask is not None:
                entry["sparsity"] = round(1.0 - float(tensor.mask.mean()), 6)
            layers[layer.path] = entry
    return layers


def _size(tensor: Tensor) -> int:
    return tensor.codes.size if isinstance(tensor, Quantized) else tensor.size
