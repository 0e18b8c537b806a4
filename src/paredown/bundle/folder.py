"""Writes a folder: in full beside its place, then moved there in one step, so that it is never half there."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from paredown.errors import BadInput


def check_target(directory: Path, what: str, check: Callable[[Path], object], force: bool) -> None:
    """Raises BadInput unless a folder may be written at `directory`: nothing is there, or an empty folder, or one to be replaced.

    `check` raises BadInput for a folder that is not `what` ("a bundle"); one that is may be replaced where `force` allows it.
    """
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        check(directory)
    except BadInput as error:
        raise BadInput(f"{what} is written to a new folder or over {what}, got {directory}, which is neither") from error
    if not force:
        raise BadInput(f"{what} is replaced only where that is asked for (--force), got {directory}, which holds one")


def write_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with these files at `directory`, in the place of what is there.

    Raises BadInput if nothing can be written there. A folder is replaced in one step where two folders can be swapped (Linux's
    renameat2); elsewhere a process that is killed between two renames leaves the old one beside its place.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise BadInput(f"the folder to write must be in a writable place, got {directory} ({error.strerror})") from error
    try:
        _write_files(draft, files)
        _move(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent)) / "old"
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
