"""The forms in which a compressed model is written: a bundle, self-contained ONNX files, an ESPnet checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from paredown.bundle import espnet_checkpoint, self_contained
from paredown.bundle.folder import check_target, temporary_folder
from paredown.bundle.provenance import check_provenance
from paredown.bundle.write import write_bundle
from paredown.compress.compress import CompressedModel
from paredown.errors import BadInput
from paredown.runtime.bundle_files import recognize_bundle

if TYPE_CHECKING:
    from paredown.models import Model

Form = Literal["bundle", "self-contained", "espnet"]


def check_place(directory: Path, form: Form, force: bool) -> None:
    """Raises BadInput, before any work is done, if there is no such form or `write_form` would not write there."""
    if form not in get_args(Form):
        raise BadInput(f"a form is one of {', '.join(get_args(Form))}; got {form!r}")
    if form == "bundle":
        check_target(directory, "a bundle", recognize_bundle, force)
    else:
        name = {"self-contained": "a self-contained folder", "espnet": "a checkpoint of paredown"}[form]
        check_target(directory, name, lambda folder: check_provenance(folder, form), force)


def write_form(
    model: "Model",
    compressed: CompressedModel,
    directory: Path,
    form: Form,
    *,
    force: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write the compressed model into `directory` and return it; `about` goes with a bundle. Raises BadInput as `write_bundle` does."""
    if form == "espnet":
        return espnet_checkpoint.write_espnet(model, compressed, directory, force=force)
    if form == "bundle":
        return write_bundle(model, compressed, directory, force=force, about=about)
    with temporary_folder() as folder:
        bundle = write_bundle(model, compressed, folder / "bundle")
        return self_contained.write_self_contained(bundle, directory, force=force)
