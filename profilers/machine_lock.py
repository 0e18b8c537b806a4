"""While a target is measured nothing else of paredown runs on that machine: one lock file, held by flock.

flock is dropped by the kernel when its holder dies, so a crash leaves no stale lock behind.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput

POLL_S = 0.05


def lock_path() -> Path:
    """Where the lock lies: /run/lock where every user can write, the temporary directory otherwise (TMPDIR may be per user)."""
    shared = Path("/run/lock")
    if shared.is_dir() and os.access(shared, os.W_OK):
        return shared / "paredown-measure.lock"
    return Path(tempfile.gettempdir()) / "paredown-measure.lock"


@contextmanager
def machine_lock(
    timeout_s: float = 600.0,
    path: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Holds the machine until the block ends; waits for another holder, this process included, up to `timeout_s` seconds.

    Raises BadInput, naming the holder's process id and how long was waited, when the machine does not become free.
    """
    path = path or lock_path()
    handle = _open(path)
    try:
        _wait(handle, path, timeout_s, clock, sleep)
        _sign(handle)
        yield
    finally:
        os.close(handle)  # closing the only descriptor drops the lock


def _open(path: Path) -> int:
    """A descriptor of the lock file, made world-writable if it is new.

    Opened without O_CREAT first: in a sticky directory Linux (fs.protected_regular) refuses O_CREAT on another user's file.
    A file of another user that may only be read can be locked all the same.
    """
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR, os.O_RDONLY):
        try:
            handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except (FileNotFoundError, FileExistsError, PermissionError) as error:
            reason = error
            continue
        if flags & os.O_CREAT:
            os.fchmod(handle, 0o666)  # the umask took bits away that other users need
        return handle
    raise BadInput(f"the lock file of the machine must be readable: {path} ({reason.strerror})")


def _wait(handle: int, path: Path, timeout_s: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    begin = clock()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if clock() - begin >= timeout_s:
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise BadInput(
                    f"one process measures on a machine at a time: process {holder} holds {path}, waited {timeout_s:g} s"
                ) from None
            sleep(POLL_S)


def _sign(handle: int) -> None:
    """Writes this process id for the message of others; a lock file of another user may be read-only, then it stays unsigned."""
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
