"""One process drives a study: a lock file in the study folder, held by flock, signed with who holds it.

The kernel drops the lock when its holder dies, kill -9 included; the file itself stays. NFS hands flock on to its server, so two machines
that share a folder see each other there; a file system that knows no locks is refused.
"""

import fcntl
import json
import os
import shlex
import socket
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from paredown.errors import BadInput

_LONGEST = 4096  # bytes of a signature
_COMMAND_LENGTH = 120
_PAUSES_S = (0.0, 0.02, 0.05)


@dataclass(frozen=True)
class Holder:
    """A process that drives a study: on the machine `host`, `since` a local time, by `command`."""

    pid: int
    host: str
    since: str
    command: str

    def __str__(self) -> str:
        here = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{here} since {self.since} ({self.command})"


class StudyLock:
    """Held from the moment it is made until `release`."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput, naming the process and its machine, where another one holds the study (or this one, a second time), and
        where the folder cannot be written or locked.
        """
        self._handle = -1
        try:
            self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            taken = self._take()
            if taken:
                _sign(self._handle)
        except OSError as error:
            self.release()
            raise BadInput(f"the folder of a study must be writable and take locks: {folder} ({error.strerror})") from None
        if not taken:
            holder = _read_holder(self._handle)
            self.release()
            raise _held(folder, holder)

    def _take(self) -> bool:
        """Tries three times: a look by `is_held` takes the lock too, for some microseconds."""
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return True
        return False

    def release(self) -> None:
        """Closing the only descriptor drops the lock; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def is_held(folder: Path) -> bool:
    """Whether some process drives the study now."""
    return _look(folder)[0]


def check_unheld(folder: Path) -> None:
    """Raises BadInput, naming who drives the study now, where somebody does."""
    held, holder = _look(folder)
    if held:
        raise _held(folder, holder)


def _look(folder: Path) -> tuple[bool, Holder | None]:
    try:
        handle = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False, None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, _read_holder(handle)
    finally:
        os.close(handle)
    return False, None


def _held(folder: Path, holder: Holder | None) -> BadInput:
    return BadInput(f"one process drives a study at a time: {folder} is held by {holder or 'another one'}")


def _sign(handle: int) -> None:
    command = shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])
    shown = command if len(command) <= _COMMAND_LENGTH else command[: _COMMAND_LENGTH - 3] + "..."
    # Not aware of a time zone: whoever reads it compares it with the clock on the wall.
    holder = Holder(os.getpid(), socket.gethostname(), f"{datetime.now():%Y-%m-%d %H:%M}", " ".join(shown.split()))
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{json.dumps(asdict(holder), ensure_ascii=False)}\n".encode(errors="replace"), 0)


def _read_holder(handle: int) -> Holder | None:
    """Who signed the file; None where the holder has not done so yet, or could not."""
    for pause_s in _PAUSES_S:
        time.sleep(pause_s)
        try:
            return Holder(**json.loads(os.pread(handle, _LONGEST, 0)))
        except (ValueError, TypeError):
            continue
    return None
