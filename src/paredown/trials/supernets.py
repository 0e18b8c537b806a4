"""Supernets by their digest: those that come with paredown, and those kept in the user's cache."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.data.bundled import bundled_folder, bundled_names
from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.user_cache import cache_folder, unwritable

if TYPE_CHECKING:
    from paredown.models import Model


def weights_of(model: "Model", configuration: Configuration) -> "Model":
    """The model whose weights a configuration takes: `model` itself, or a supernet of it. Raises BadInput like `find_supernet`."""
    digest = configuration.supernet
    return model if digest is None or digest == model.digest else find_supernet(model, digest)


def find_supernet(model: "Model", digest: str) -> "Model":
    """The supernet of this digest, for `model`, whose shapes and tokens it must have.

    Raises BadInput, with what to do about it, if it is not at hand or is one of another shape.
    """
    from paredown.models.model import load_model

    for folder in _known_folders():
        if _digest_of(folder) == digest:
            supernet = load_model(folder)
            check_shape(model, supernet)
            return supernet
    raise BadInput(
        f"the supernet {digest[:12]} of this configuration is not at hand: name its folder as width.supernet of a study, "
        f"or put it into {_cache() / digest}"
    )


def keep_supernet(supernet: "Model") -> Path:
    """A copy of the supernet's folder in the user's cache, where `find_supernet` finds it; what comes with paredown stays where it is.

    Raises BadInput if the model is no supernet, or the cache cannot be written.
    """
    if not supernet.is_supernet:
        raise BadInput(f"a supernet's folder holds supernet.json, got {supernet.path} without it")
    if supernet.path in _bundled_folders():
        return supernet.path
    target = _cache() / supernet.digest
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".draft-") as draft:
            copied = shutil.copytree(supernet.path, Path(draft) / target.name)
            os.replace(copied, target)
    except OSError as error:
        if target.is_dir():  # another process was faster
            return target
        raise unwritable(target.parent, error) from error
    return target


def check_shape(model: "Model", supernet: "Model") -> None:
    """Raises BadInput unless the supernet has the layers, tokens and frontend of the model."""
    for what, own, other in (
        ("layers", model.inventory(), supernet.inventory()),
        ("tokens", model.tokens, supernet.tokens),
        ("frontend", model.frontend, supernet.frontend),
    ):
        if own != other:
            raise BadInput(f"a supernet must have the {what} of the model {model.path}, got {supernet.path}, whose {what} differ")


def _known_folders() -> Iterator[Path]:
    yield from _bundled_folders()
    kept = _cache()
    yield from sorted(folder for folder in kept.iterdir() if folder.is_dir() and not folder.name.startswith(".")) if kept.is_dir() else ()


def _digest_of(folder: Path) -> str | None:
    """The digest of a known folder; None for one that is damaged, which is nobody's supernet."""
    from paredown.models import ModelError
    from paredown.models.model import digest_model

    try:
        return digest_model(folder)
    except ModelError:
        return None


def _bundled_folders() -> list[Path]:
    return [bundled_folder(name) / "model" for name in bundled_names() if (bundled_folder(name) / "model" / "supernet.json").is_file()]


def _cache() -> Path:
    return cache_folder() / "supernets"
