"""One process drives a study: a lock file in the study folder, held by flock, signed with the holder's process id.

The kernel drops the lock when its holder dies, kill -9 included; the file itself stays.
"""

import fcntl
import os
import time
from pathlib import Path

from paredown.errors import BadInput


class StudyLock:
    """Held from the moment it is made until `release`."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInput, naming the process, where another one holds the study (or this one, a second time)."""
        self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._take():
            holder = os.pread(self._handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise BadInput(f"one process drives a study at a time: {folder} is held by process {holder}")
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def _take(self) -> bool:
        """Tries three times: a look by `is_held` takes the lock too, for some microseconds."""
        for pause_s in (0.0, 0.02, 0.05):
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
    try:
        handle = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
