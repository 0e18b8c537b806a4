"""While a target is measured nothing else of paredown runs on that machine: a readers-writer lock of two files, held by flock.

Who measures holds the machine alone (`machine_lock`). Every other unit of work, an utterance decoded or a bundle built, shares it for that
unit alone (`machine_share`), so that a measurement waits for units to end, never for whole studies.

The lock is one file, held exclusively or shared. flock lets new readers in while a writer waits, who would starve; so there is a second
file, the gate: a measurer holds it while it waits and while it measures, and whoever shares passes it first.

Held once by a thread, never inside itself: a thread that shares the machine and then waits for it alone, or for others who share it,
would wait for itself. That raises at once (`check_free`). flock is dropped by the kernel when its holder dies: a crash leaves nothing.
"""

import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput

POLL_S = 0.05
_SHARED = Path("/run/lock")
# Who measures and who works both wait for whole measurements, those of energy included.
MEASURE_TIMEOUT_S = SHARE_TIMEOUT_S = 6 * 3600.0
_held = threading.local()  # what this thread holds: the paths of the locks it is inside of


def lock_path() -> Path:
    """Where the lock lies, the same for every user: /run/lock where all may write, /tmp otherwise.

    Not where this process may write: root may anywhere, and would take another lock than a user. TMPDIR may be per user.
    """
    everyone = _SHARED.is_dir() and bool(_SHARED.stat().st_mode & stat.S_IWOTH)
    return (_SHARED if everyone else Path("/tmp")) / "paredown-measure.lock"


def gate_path(path: Path) -> Path:
    """The gate of a lock file, beside it."""
    return path.with_name(f"{path.name}.gate")


def check_free(path: Path | None = None) -> None:
    """Raises RuntimeError if this thread holds the machine: before it waits for processes that take it themselves."""
    path = path or lock_path()
    if path in _paths():
        raise RuntimeError(f"a thread holds the machine once, and not while it waits for others who take it: it holds {path} already")


@contextmanager
def machine_lock(
    timeout_s: float = MEASURE_TIMEOUT_S,
    path: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Holds the machine alone until the block ends; waits for other holders, threads of this process included, up to `timeout_s` seconds.

    Raises BadInput, naming the holder's process id and how long was waited, when the machine does not become free, and RuntimeError at
    once where this thread holds it already.
    """
    path = path or lock_path()
    with _marked(path), _opened(gate_path(path)) as gate, _opened(path) as handle:
        deadline = clock() + timeout_s
        rule = "one process measures on a machine at a time"
        _wait(gate, gate_path(path), fcntl.LOCK_EX, rule, timeout_s, deadline, clock, sleep)
        _sign(gate)
        _wait(handle, path, fcntl.LOCK_EX, "a measurement waits until the machine rests", timeout_s, deadline, clock, sleep)
        _sign(handle)
        yield


@contextmanager
def machine_share(
    timeout_s: float = SHARE_TIMEOUT_S,
    path: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Shares the machine with other work until the block ends; one unit of work: an utterance, a batch, one bundle.

    Takes some ten microseconds where nobody measures; waits while a process measures or waits to. Raises as `machine_lock` does.
    """
    path = path or lock_path()
    with _marked(path), _opened(path) as handle:
        with _opened(gate_path(path)) as gate:
            deadline = clock() + timeout_s
            rule = "work waits while a process measures"
            _wait(gate, gate_path(path), fcntl.LOCK_SH, rule, timeout_s, deadline, clock, sleep)
            _wait(handle, path, fcntl.LOCK_SH, rule, timeout_s, deadline, clock, sleep)
        yield


def _paths() -> set[Path]:
    found: set[Path] = _held.__dict__.setdefault("paths", set())
    return found


@contextmanager
def _marked(path: Path) -> Iterator[None]:
    check_free(path)
    _paths().add(path)
    try:
        yield
    finally:
        _paths().discard(path)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = _open(path)
    try:
        yield handle
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
        except OSError as error:
            reason = error
            continue
        if flags & os.O_CREAT:
            os.fchmod(handle, 0o666)  # the umask took bits away that other users need
        return handle
    raise BadInput(f"the lock file of the machine must be readable: {path} ({reason.strerror})")


def _wait(
    handle: int,
    path: Path,
    kind: int,
    rule: str,
    timeout_s: float,
    deadline: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if clock() >= deadline:
                raise BadInput(f"{rule}: process {_holder(handle)} holds {path}, waited {timeout_s:g} s") from None
            sleep(POLL_S)


def _sign(handle: int) -> None:
    """Writes this process id for the message of others; a lock file of another user may be read-only, then it stays unsigned."""
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)


def _holder(handle: int, locks: Path = Path("/proc/locks")) -> str:
    """Process ids of the holders: from the kernel's list, where whoever shares stands too; otherwise who signed the file last."""
    inode = str(os.fstat(handle).st_ino)
    try:
        rows = [line.split() for line in locks.read_text(encoding="ascii").splitlines()]
    except OSError:
        rows = []
    # "1: FLOCK ADVISORY WRITE 4242 fe:01:131090 0 EOF"; a process of another container has no id here (0 or -1)
    found = {row[4] for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode and row[4].isdigit()} - {
        "0"
    }
    signed = os.pread(handle, 32, 0).decode(errors="replace").strip()
    return ", ".join(sorted(found, key=int)) or signed or "unknown"
