"""Writes a folder: in full beside its place, then moved there in one step, so that it is never half there."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput


def check_target(directory: Path, what: str, check: Callable[[Path], object], force: bool) -> None:
    """Raises BadInput unless a folder may be written at `directory`: nothing is there, or an empty folder, or one to be replaced.

    `check` raises BadInput for a folder that is not `what` ("a bundle"); one that is may be replaced where `force` allows it. The current
    directory and mount points are refused: they cannot be moved.
    """
    directory = resolve_place(directory)
    if directory.is_dir() and (os.path.ismount(directory) or directory.samefile(os.curdir)):
        which = "a mount point" if os.path.ismount(directory) else "the current directory"
        raise BadInput(f"{what} is written to a folder of its own, got {directory}, which is {which}: name a new folder in it")
    if not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        check(directory)
    except BadInput as error:
        raise BadInput(f"{what} is written to a new folder or over {what}, got {directory}, which is neither: {error}") from error
    if not force:
        raise BadInput(f"{what} is replaced only where that is asked for (--force), got {directory}, which holds one")


def write_folder(directory: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with these files at `directory`, in the place of what is there.

    Raises BadInput if it cannot be written, and leaves what was there. A folder is replaced in one step where two folders can be swapped
    (Linux's renameat2); elsewhere a process that is killed between two renames leaves the old one beside its place.
    """
    directory = resolve_place(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise BadInput(f"the folder to write must be in a writable place, got {directory} ({error.strerror})") from error
    try:
        with writing(str(directory)):
            _write_files(draft, files)
            _move(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turns an OSError (a full disk, a limit on files) into a BadInput of one line."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{what} cannot be written: {error.strerror or error}") from error


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Raises BadInput if none can be made."""
    with writing("a temporary folder"):
        made = tempfile.TemporaryDirectory()
    with made as folder:
        yield Path(folder)


def resolve_place(directory: Path) -> Path:
    """The absolute path of a folder that may not be there yet; a link at its end stays one."""
    try:
        return directory.resolve() if directory.name in ("", os.pardir) else directory.parent.resolve() / directory.name
    except (OSError, RuntimeError) as error:  # the current directory is gone; links in a circle
        raise BadInput(f"a folder to write must have a place, got {directory} ({getattr(error, 'strerror', None) or error})") from error


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
    try:
        if directory.exists():
            aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-old-", dir=directory.parent)) / "old"
            directory.rename(aside)
        draft.rename(directory)
    except OSError:
        if aside is not None and os.path.lexists(aside):
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
