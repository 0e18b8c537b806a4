"""The texts of a bundle: manifest, tokens, frontend settings. The same model and configuration give the same text, under any name."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from paredown.bundle.graphs.architecture import Architecture, read_architecture
from paredown.bundle.graphs.graph import IR_VERSION, OPSET, Graph
from paredown.bundle.memory import estimate_memory
from paredown.bundle.plan import BundlePlan
from paredown.errors import BadInput
from paredown.runtime.bundle_files import FRONTEND, SCHEMA, TOKENS
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import canonical_json, seal
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.frontend import FrontendSettings

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "torch", "espnet")  # what makes and checks a bundle


def graph_file(name: str) -> str:
    """The file of a graph: `encoder.onnx`, `decoder.onnx`, `ctc.onnx`."""
    return f"{name}.onnx"


def write_manifest(model: "Model", plan: BundlePlan, files: Mapping[str, bytes]) -> str:
    """`manifest.json`; `files` are all other files of the bundle."""
    return seal(describe_model(model) | describe_plan(model, plan) | {"files": describe_files(files)})


def describe_model(model: "Model") -> dict[str, Any]:
    """What the manifests of all bundles of a model have in common."""
    return {
        "schema": SCHEMA,
        "versions": read_versions(),
        "model": {
            "digest": model.digest,
            "task": model.task,
            "token_type": model.token_type,
            "sos": model.sos,
            "eos": model.eos,
            "subsampling_least_frames": read_model_architecture(model).encoder.least_frames,
            "dropped": list(model.dropped),
        },
    }


def describe_plan(model: "Model", plan: BundlePlan) -> dict[str, Any]:
    """What follows from the plan of a bundle of the model: everything of its manifest but `describe_model` and the files."""
    configuration, calibrated_on = plan.outline.configuration, plan.outline.calibrated_on
    keep = plan.outline.keep
    return {
        "configuration": json.loads(configuration.to_json()),
        "configuration_digest": configuration.digest,
        "calibration": None if calibrated_on is None else asdict(calibrated_on),
        "parameters": {"model": model.inference_parameters, "stored": plan.stored_parameters},
        "memory": asdict(estimate_memory(plan.architecture, plan.forms, _frontend(model, configuration).n_fft)),
        "keep": {stack: list(indices) for stack, indices in keep.items()},
        "layers": _describe_layers(plan),
        "graphs": {name: _describe_graph(graph_file(name), graph) for name, graph in plan.graphs.items()},
        "tensors": [record.to_json() for record in plan.records],
    }


def read_model_architecture(model: "Model") -> Architecture:
    """The architecture that a model's graphs are built of. Raises BadInput for a part that they do not cover."""
    return read_architecture(model.config, model.frontend.n_mels, len(model.tokens))


def read_versions() -> dict[str, str | int]:
    """Versions that determine the bytes of what is written here: paredown's, its libraries', and those of the ONNX format."""
    versions: dict[str, str | int] = {"paredown": version("paredown"), "opset": OPSET, "ir": IR_VERSION}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def render_texts(model: "Model", configuration: Configuration) -> dict[str, bytes]:
    """The files of a bundle that weights do not change, by name. Raises BadInput as `write_tokens` and `write_frontend`."""
    return {TOKENS: write_tokens(model.tokens).encode(), FRONTEND: write_frontend(model, configuration).encode()}


def write_tokens(tokens: tuple[str, ...]) -> str:
    """`tokens.txt`, one token a line; raises BadInput for a token that is no line."""
    for token in tokens:
        if "\n" in token or "\r" in token:
            raise BadInput(f"a token must be one line of text, got {token!r}")
    return "".join(f"{token}\n" for token in tokens)


def write_frontend(model: "Model", configuration: Configuration) -> str:
    """`frontend.json`: settings of the log-mel features, as the configuration's input wants them, and of their normalization."""
    settings = asdict(_frontend(model, configuration))
    if settings.pop("normalized", False):
        raise BadInput("a bundle's frontend must not be a normalized STFT, got frontend_conf.normalized: true")
    return canonical_json(settings | {"normalize": _describe_normalization(model.network.normalize)})


def _frontend(model: "Model", configuration: Configuration) -> "FrontendSettings":
    from paredown.models.input_size import resize_input  # torch

    return resize_input(model.frontend, configuration.input)


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


def _describe_layers(plan: BundlePlan) -> dict[str, Any]:
    """Of every stored layer: bit-width and kernel, the kernel's own width where that is another, share of zeros."""
    layers: dict[str, Any] = {}
    for layer in plan.inventory.layers:
        form = plan.forms.get(f"{layer.path}.weight")
        if form is not None:
            bits = 8 * form.number_bytes if form.bits is None else form.bits
            entry: dict[str, Any] = {"bits": bits, "kernel": plan.kernels[layer.path]}
            if plan.nbits.get(layer.path, bits) != bits:
                entry["kernel_bits"] = plan.nbits[layer.path]
            if form.sparsity is not None:
                entry["sparsity"] = round(form.sparsity, 6)
            layers[layer.path] = entry
    return layers
