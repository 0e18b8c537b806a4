"""What a disk does to files: it refuses to take what is written (full, read-only), and it keeps for sure only what was flushed."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput

# SQLite's codes for a disk that is full or read-only, a file that may not grow, a folder that takes no new file, a lock never let go.
_SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY)
_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """What is written here goes to `path` or beside it: raises BadInput, with the cause, where the disk refuses that."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        cause = refusal(error)
        if cause is None:
            raise
        raise BadInput(f"a study needs room and the right to write, {path} has not: {cause}; what was finished is kept") from error


def refusal(error: BaseException | None) -> str | None:
    """What a disk has against being written, None where the error says something else. Optuna wraps SQLAlchemy, which wraps SQLite."""
    while error is not None:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE:
            return str(error)
        if isinstance(error, OSError) and error.errno in _SYSTEM:
            return (error.strerror or str(error)).lower()
        error = error.__cause__ or error.__context__
    return None


def flush_file(path: Path) -> None:
    """A file or a folder, to the disk; one that is gone has nothing to flush."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
