"""Files in Ray's object store, each content once.

The driver owns them and they lie on its own node: a node that leaves loses copies alone.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from paredown.cluster.parcels import Parcel, pack

KEPT_FOLDERS = 8  # bundles that are not on their way; audio files stay until the cluster is closed

_Seen = tuple[str, tuple[tuple[str, int, int], ...]]


class Post:
    """What was put so far. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parcels: dict[_Seen, Parcel] = {}
        self._files: dict[str, Any] = {}
        self._folders: OrderedDict[str, Any] = OrderedDict()
        self._kept: set[str] = set()
        self.puts = 0

    def send(self, path: Path) -> tuple[Parcel, Any]:
        """The parcel of a file or folder and the reference of its bytes, which keeps them in the store as long as somebody holds it."""
        import ray

        with self._lock:
            seen = _look(path)
            parcel = self._parcels.get(seen)
            found = None if parcel is None else self._find(parcel)
            if parcel is None or found is None:
                parcel, data = pack(path)
                found = self._find(parcel)
                if found is None:
                    found = ray.put(data)
                    self.puts += 1
                self._parcels[seen] = parcel
            self._keep(parcel, found)
            return parcel, found

    def keep(self, path: Path) -> None:
        """The bytes of a folder stay in the store until the cluster is closed, however many others are sent."""
        self.send(path)
        with self._lock:
            self._kept.add(self._parcels[_look(path)].digest)

    def forget(self) -> None:
        """Everything is put again when it is next sent: for objects that were lost."""
        with self._lock:
            self._files.clear()
            self._folders.clear()

    def _find(self, parcel: Parcel) -> Any:
        return (self._folders if parcel.suffix is None else self._files).get(parcel.digest)

    def _keep(self, parcel: Parcel, reference: Any) -> None:
        if parcel.suffix is not None:
            self._files[parcel.digest] = reference
            return
        self._folders[parcel.digest] = reference
        self._folders.move_to_end(parcel.digest)
        loose = [digest for digest in self._folders if digest not in self._kept]
        for digest in loose[: max(0, len(loose) - KEPT_FOLDERS)]:
            del self._folders[digest]


def _look(path: Path) -> _Seen:
    """A file or folder as it is now: a path that was written anew is another one."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    found = [(file, file.stat()) for file in files]
    return str(path), tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in found)
