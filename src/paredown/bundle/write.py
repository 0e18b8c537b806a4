"""Writes a bundle, into a new folder or in the place of a bundle; never half of one, never over something else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.bundle.folder import check_target, write_folder
from paredown.bundle.graphs.architecture import read_architecture
from paredown.bundle.manifest import graph_file, write_frontend, write_manifest, write_tokens
from paredown.bundle.pack import pack
from paredown.bundle.storage import assemble
from paredown.compress.compress import CompressedModel
from paredown.errors import BadInput
from paredown.runtime.bundle_files import FRONTEND, MANIFEST, MEASUREMENTS, TOKENS, WEIGHTS, recognize_bundle

if TYPE_CHECKING:
    from paredown.models import Model


def write_bundle(
    model: "Model", compressed: CompressedModel, directory: Path, *, force: bool = False, about: Mapping[str, Any] | None = None
) -> Path:
    """Write the bundle of a compressed model into `directory` and return it; `about` becomes its `measurements.json`.

    Equal models and configurations give equal bytes, with the same versions of the libraries that the manifest lists. Nothing is
    checked here: where it is in doubt whether the graphs compute what torch does, call `check_parity` first. Raises BadInput if
    something is at `directory` already, unless it is a bundle and `force` allows to replace it, if the model has a part that the
    graphs do not cover, or if it has no CTC where the configuration decodes with one; then nothing is written.
    """
    directory = Path(directory)
    check_target(directory, "a bundle", recognize_bundle, force)
    figures = {} if about is None else {MEASUREMENTS: (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()}
    write_folder(directory, figures | render(model, compressed))
    return directory


def render(model: "Model", compressed: CompressedModel) -> dict[str, bytes]:
    """The files of a bundle by name, the manifest last."""
    from paredown.compress.network import state_of  # torch

    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    parts = assemble(architecture, model.inventory(), state_of(model), compressed)
    ctc_weight = compressed.configuration.decode.ctc_weight
    if parts.ctc is None and ctc_weight > 0:
        raise BadInput(f"decode.ctc_weight must be 0 for a model without a CTC over its output text, got {ctc_weight:g}")
    packed = pack(parts.tensors)
    files = {
        WEIGHTS: packed.data,
        **{graph_file(name): graph.serialize() for name, graph in parts.graphs.items()},
        TOKENS: write_tokens(model.tokens).encode(),
        FRONTEND: write_frontend(model).encode(),
    }
    manifest = write_manifest(model, architecture, compressed, parts, packed, files)
    return files | {MANIFEST: manifest.encode()}
