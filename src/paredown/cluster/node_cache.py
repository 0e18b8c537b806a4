"""Folders that arrived on this node, unpacked once for all its processes: a temporary cache by digest.

Each entry has a lock file, held shared by whoever uses the entry and alone by who unpacks or removes it. The oldest entries that nobody
uses go when there are too many. flock dies with its holder, so a killed process leaves nothing but a draft, which the next one removes.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.cluster.parcels import Parcel, unpack
from paredown.errors import BadInput

KEPT = 16
_LOCK = ".lock"
_DRAFT = ".draft"


def node_folder() -> Path:
    """Where this user's folders lie on this node, made if need be. Raises BadInput if it is there and belongs to somebody else."""
    folder = Path(tempfile.gettempdir()) / f"paredown-cluster-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise BadInput(f"{folder} must be a folder that this user alone may write; remove it")
    return folder


@contextmanager
def unpacked(parcel: Parcel, data: bytes, root: Path | None = None, kept: int = KEPT) -> Iterator[Path]:
    """The parcel's folder, which stays until the block ends. Raises BadInput as `unpack`, and where there is no room."""
    root = node_folder() if root is None else root
    folder = root / parcel.digest
    try:
        handle = _held(folder, parcel, data)
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        os.utime(folder)
        _remove_oldest(root, kept)
        yield folder
    finally:
        os.close(handle)


def _held(folder: Path, parcel: Parcel, data: bytes) -> int:
    """A descriptor that holds the entry shared; the entry is there. One process may hold it more than once."""
    while True:
        handle = _lock(folder, fcntl.LOCK_SH)
        if folder.exists():
            return handle
        os.close(handle)
        handle = _lock(folder, fcntl.LOCK_EX)
        try:
            if not folder.exists():
                _make(folder, parcel, data)
        finally:
            os.close(handle)  # between the two locks the entry may be removed: hence the loop


def _make(folder: Path, parcel: Parcel, data: bytes) -> None:
    draft = folder.with_name(f"{folder.name}{_DRAFT}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        unpack(parcel, data, draft)
        os.rename(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _lock(folder: Path, kind: int) -> int:
    """A descriptor of the entry's lock file, locked; not one that was removed in the meantime."""
    while True:
        handle = os.open(f"{folder}{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, kind)
        except BaseException:
            os.close(handle)
            raise
        if _is_current(handle, folder):
            return handle
        os.close(handle)


def _is_current(handle: int, folder: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == os.stat(f"{folder}{_LOCK}").st_ino
    except FileNotFoundError:
        return False


def _remove_oldest(root: Path, kept: int) -> None:
    found = []
    for folder in root.iterdir():
        if folder.suffix not in (_LOCK, _DRAFT):
            try:
                found.append((folder.stat().st_mtime_ns, folder))
            except FileNotFoundError:  # another process was faster
                continue
    for _, folder in sorted(found)[: max(0, len(found) - kept)]:
        try:
            handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # in use
            continue
        try:
            shutil.rmtree(folder, ignore_errors=True)
            os.unlink(f"{folder}{_LOCK}")
        finally:
            os.close(handle)


def _unwritable(folder: Path, error: OSError) -> BadInput:
    return BadInput(f"a node's temporary folder must be writable and have room, {folder} does not ({error.strerror or error})")
