"""The operations of a configuration, or of a bundle: joins the space's list of operations to a model's config and to a bundle's files."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from paredown.bundle.graphs.architecture import STRIDES, Architecture, read_architecture
from paredown.bundle.graphs.kernels import choose_kernels
from paredown.errors import BadInput
from paredown.runtime.bundle_files import FRONTEND, MANIFEST, Manifest, read_manifest
from paredown.runtime.features import read_frontend
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.macs import Workload, macs
from paredown.space.operations import Computed, Operation, Positions, Structure, compute, find_stage, list_operations
from paredown.space.reduced import reduce_inventory

if TYPE_CHECKING:
    from paredown.models import Model

_SHIFT_OF_LEGACY = "Pad"  # the operator that only the legacy form of relative positions has


def structure_of(architecture: Architecture) -> Structure:
    """What of an architecture its shapes do not tell."""
    encoder = architecture.encoder
    positions: Positions = "absolute"
    if encoder.positions in ("relative", "relative_legacy"):
        positions = "relative" if encoder.positions == "relative" else "relative_legacy"
    return Structure(architecture.mels, STRIDES[encoder.input_layer], positions, encoder.heads, architecture.decoder.heads)


def read_structure(model: "Model") -> Structure:
    """Of a loaded model. Raises BadInput for a part that bundles do not cover."""
    return structure_of(read_architecture(model.config, model.frontend.n_mels, len(model.tokens)))


def operations_of(inventory: Inventory, configuration: Configuration, structure: Structure) -> tuple[Operation, ...]:
    """The operations of the bundle that a configuration would give, without building it."""
    kernels = choose_kernels(reduce_inventory(inventory, configuration), configuration)
    return list_operations(inventory, configuration, structure, kernels)


def operations_of_bundle(bundle: Path) -> tuple[tuple[Operation, ...], Structure]:
    """The operations of a bundle and what its shapes do not tell, from its files alone.

    Raises BadInput for a folder that is no bundle.
    """
    manifest = read_manifest(bundle)
    text = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    kernels = {path: entry["kernel"] for path, entry in text["layers"].items()}
    shapes = {record.name: record.shape for record in manifest.tensors}
    structure = _structure_of_bundle(bundle, manifest, shapes)
    with_ctc = manifest.ctc_weight > 0
    layers = [Computed(path, shapes[f"{path}.weight"], kernel) for path, kernel in kernels.items() if with_ctc or find_stage(path) != "ctc"]
    vectors = {record.name: record.size for record in manifest.tensors if len(record.shape) == 1}
    return compute(layers, vectors, structure), structure


def macs_of_bundle(bundle: Path, seconds: float, tokens: int, beam: int | None = None) -> int:
    """Multiply-accumulates of an utterance of `seconds` that is decoded in `tokens` steps; `beam` None takes the bundle's own."""
    operations, structure = operations_of_bundle(bundle)
    frontend = read_frontend(bundle / FRONTEND)
    size = read_manifest(bundle).beam_size if beam is None else beam
    frames = count_frames(frontend, round(seconds * frontend.sample_rate_hz))
    return macs(operations, structure, Workload.fixed(frames, tokens, size))


class Framing(Protocol):
    """How a frontend cuts a waveform into frames: a bundle's or a model's."""

    @property
    def center(self) -> bool: ...
    @property
    def n_fft(self) -> int: ...
    @property
    def hop_samples(self) -> int: ...


def count_frames(frontend: Framing, samples: int) -> int:
    """Feature frames of a waveform."""
    return (samples if frontend.center else samples - frontend.n_fft) // frontend.hop_samples + 1


def _structure_of_bundle(bundle: Path, manifest: Manifest, shapes: Mapping[str, tuple[int, ...]]) -> Structure:
    """Heads from the attention operators of the graphs, strides from the frames of a state, the form of positions from its operators."""
    encoder, decoder = (_read_nodes(bundle / record.file) for record in (manifest.encoder, manifest.decoder))
    convolutions = sum(name.startswith("encoder.embed.conv.") and name.endswith(".weight") for name in shapes)
    rate = manifest.memory.frames_per_state
    strides = [found for found in STRIDES.values() if len(found) == convolutions and prod(found) == rate]
    if len(strides) != 1:
        raise BadInput(f"{bundle} must have one of the known input layers, got {convolutions} convolutions of {rate} frames a state")
    positions: Positions = "absolute"
    if any(name.endswith(".linear_pos.weight") for name in shapes):
        positions = "relative_legacy" if any(node.op_type == _SHIFT_OF_LEGACY for node in encoder) else "relative"
    mels = read_frontend(bundle / FRONTEND).n_mels
    heads = [_heads(bundle, nodes, shapes, stack) for nodes, stack in ((encoder, "encoder."), (decoder, "decoder."))]
    return Structure(mels, strides[0], positions, *heads)


def _read_nodes(path: Path) -> list[Any]:
    import onnx

    return list(onnx.load(path, load_external_data=False).graph.node)


def _heads(bundle: Path, nodes: list[Any], shapes: Mapping[str, tuple[int, ...]], stack: str) -> int:
    """Heads of the uncompressed model's attentions: those that are left have the units that all queries have together."""
    attributes = [attribute for node in nodes if node.op_type == "MultiHeadAttention" for attribute in node.attribute]
    left = sum(int(attribute.i) for attribute in attributes if attribute.name == "num_heads")
    if not left:
        raise BadInput(f"the graphs of {bundle} must have attention operators with a number of heads, got none")
    queries = [shape for name, shape in shapes.items() if name.startswith(stack) and name.endswith(".linear_q.weight")]
    return queries[0][1] * left // sum(shape[0] for shape in queries)
