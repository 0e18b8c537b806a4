"""Writes a bundle, into a new folder or in the place of a bundle; never half of one, never over something else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.bundle.folder import check_target, write_folder
from paredown.bundle.manifest import graph_file, read_model_architecture, render_texts, write_manifest
from paredown.bundle.pack import pack
from paredown.bundle.plan import Outline, check_decode, plan_bundle
from paredown.bundle.storage import arrange
from paredown.compress.compress import CompressedModel
from paredown.runtime.bundle_files import MANIFEST, MEASUREMENTS, WEIGHTS, recognize_bundle

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

    architecture = read_model_architecture(model)
    plan = plan_bundle(architecture, model.inventory(), Outline.of(compressed))
    check_decode(plan)
    files = {
        WEIGHTS: pack(arrange(plan, compressed, state_of(model))).data,
        **{graph_file(name): graph.serialize() for name, graph in plan.graphs.items()},
        **render_texts(model, compressed.configuration),
    }
    return files | {MANIFEST: write_manifest(model, plan, files).encode()}
