"""Writes a bundle: in full beside its place, then moved there in one step, so that a bundle is never half there."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from paredown.bundle.architecture import read_architecture
from paredown.bundle.manifest import DECODER_FILE, ENCODER_FILE, write_frontend, write_manifest, write_tokens
from paredown.bundle.pack import pack
from paredown.bundle.storage import assemble
from paredown.compress.compress import CompressedModel
from paredown.errors import BadInput
from paredown.runtime.bundle_files import FRONTEND, MANIFEST, TOKENS, WEIGHTS, read_manifest

if TYPE_CHECKING:
    from paredown.models import Model


def write_bundle(model: "Model", compressed: CompressedModel, directory: Path, *, force: bool = False) -> Path:
    """Write the bundle of a compressed model into `directory` and return it.

    Equal models and configurations give equal bytes. Nothing is checked here: where it is in doubt whether the graphs compute what torch
    does, call `check_parity` first. Raises BadInput if something is at `directory` already, unless it is a bundle and `force` allows to
    replace it, or if the model has a part that the graphs do not cover; then nothing is written. A bundle is replaced in one step
    where two folders can be swapped (Linux's renameat2); elsewhere a process that is killed between two renames leaves the old one
    beside its place.
    """
    directory = Path(directory)
    _check_target(directory, force)
    files = render(model, compressed)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise BadInput(f"a bundle's folder must be writable, got {directory} ({error.strerror})") from error
    try:
        _write_files(draft, files)
        _move(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return directory


def render(model: "Model", compressed: CompressedModel) -> dict[str, bytes]:
    """The files of a bundle by name, the manifest last."""
    from paredown.compress.network import state_of  # torch

    architecture = read_architecture(model.config, model.frontend.n_mels, len(model.tokens))
    parts = assemble(architecture, model.inventory(), state_of(model), compressed)
    packed = pack(parts.tensors)
    files = {
        WEIGHTS: packed.data,
        ENCODER_FILE: parts.encoder.serialize(),
        DECODER_FILE: parts.decoder.serialize(),
        TOKENS: write_tokens(model.tokens).encode(),
        FRONTEND: write_frontend(model).encode(),
    }
    manifest = write_manifest(model, architecture, compressed, parts, packed, files)
    return files | {MANIFEST: manifest.encode()}


def _check_target(directory: Path, force: bool) -> None:
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        read_manifest(directory)
    except BadInput as error:
        raise BadInput(f"a bundle is written to a new folder or over a bundle, got {directory}, which is neither") from error
    if not force:
        raise BadInput(f"a bundle is replaced only where that is asked for (--force), got {directory}, which holds one")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    folder.chmod(0o755)  # mkdtemp's 0700 is for secrets
    _sync(folder)


def _move(draft: Path, directory: Path) -> None:
    """Put `draft` at `directory`. What is there ends up in `draft`; or, step by step, goes aside and comes back if the move fails."""
    if directory.is_dir() and not directory.is_symlink() and _swap(draft, directory):
        _sync(directory.parent)
        return
    aside: Path | None = None
    if directory.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent)) / "bundle"
        directory.rename(aside)
    try:
        draft.rename(directory)
    except OSError:
        if aside is not None:
            aside.rename(directory)
        raise
    finally:
        if aside is not None:
            shutil.rmtree(aside.parent, ignore_errors=True)
    _sync(directory.parent)


def _swap(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; False, and nothing done, where libc, kernel or file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(renameat2(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


def _sync(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
