"""What bundles said and what was measured of them, in the user's cache, by digests of all that determines it: once, for all studies.

One file a key, to which lines are only ever added: a partial decoding (64 of 200 utterances) grows by what came next, and nothing is read
to be written. Two processes may add at once: a lock lets one line end before the next begins. Each line carries its checksum; a line that
a crash or a bad disk left behind is skipped, what it held is computed and added again, and the later line wins. SQLite would do this too,
but one writer at a time holds its whole file, and one bad page can lose all keys. A key of 200 utterances takes about 30 KB and is read in
a millisecond.
"""

import errno
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from paredown.data import Split
from paredown.profilers.fingerprint import Fingerprint
from paredown.profilers.measurement import Measurement
from paredown.runtime.seal import canonical_json
from paredown.trials.decoding import Hypothesis, Search
from paredown.user_cache import cache_folder, unwritable

# Goes up whenever the same bundle would say something else, or when the lines change their form.
SCHEMA = 1
LIMIT_BYTES = 500_000_000  # about 15,000 configurations on 200 utterances
KEPT_SHARE = 0.8  # of the limit is left when the oldest go, so that not every start has to look for some


def hypotheses_key(
    weights: str, configuration: str, calibration: str | None, machine: Fingerprint, search: Search | None = None, teacher: str = ""
) -> str:
    """SHA-256 of all that determines what a bundle says, in hex.

    `weights`, `teacher`, `configuration`, `calibration`: digests, of the model whose weights are taken (a supernet's, say), of the one
    that training learns from, of the configuration (its schedule names the training, its `decode` how to search) and of the calibration
    where it is calibrated. `machine`: int8 products saturate on some processors, and another onnxruntime or numpy rounds otherwise.
    `search`: what a decoder was told beside the bundle's own settings.
    """
    versions = {name: version for name, version in machine.runtimes if name in ("onnxruntime", "onnxruntime-gpu", "numpy")}
    parts = {
        "kind": "hypotheses",
        "weights": weights,
        "teacher": teacher,
        "configuration": configuration,
        "calibration": calibration,
        "computed": [machine.device, machine.accelerator, machine.architecture, list(machine.instructions), versions],
        "search": list(astuple(search or Search())),
    }
    return _digest(parts)


def measurement_key(
    weights: str, configuration: str, calibration: str | None, target: str, protocol: Mapping[str, Any], teacher: str = ""
) -> str:
    """SHA-256 of all that determines a figure of a target, in hex.

    `target`: digest of its fingerprint. `protocol`: how it is measured, plain JSON values: effort, digests of the utterances, reference.
    """
    parts = {"kind": "measurements", "weights": weights, "teacher": teacher, "configuration": configuration, "calibration": calibration}
    return _digest(parts | {"target": target, "protocol": dict(protocol)})


def utterance_digests(split: Split) -> tuple[str, ...]:
    """SHA-256 of the audio of each utterance, [utterances]: what a bundle hears, whatever split it stands in and whatever it is called."""
    return tuple(hashlib.sha256(utterance.audio.read_bytes()).hexdigest() for utterance in split.utterances)


class Records:
    """Hypotheses and measurements on disk; several threads and processes may use them at once.

    `folder` defaults to the user's cache. Where more than `limit_bytes` are kept, the keys that were not asked for longest go, when this is
    made. Raises BadInput if the folder cannot be written, before anything is computed in vain.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = (cache_folder() if folder is None else folder) / "records"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise unwritable(self.folder, PermissionError("no permission"))
        _drop_oldest(self.folder, limit_bytes)

    def hypotheses(self, key: str) -> dict[str, Hypothesis]:
        """What the bundle of this key said so far, by digest of the utterance; empty where nothing is known."""
        return {name: found for name, value in self._read(key).items() if (found := _to_hypothesis(value)) is not None}

    def add(self, key: str, found: Mapping[str, Hypothesis]) -> None:
        """Keep more hypotheses under this key. Raises BadInput if the disk refuses; what was kept before stays."""
        if found:
            self._append(key, {name: [each.text, each.ids, each.hit_cap, each.alternatives] for name, each in found.items()})

    def measurement(self, key: str, name: str) -> Measurement | None:
        """The figure of this name, None where it is not known."""
        try:
            return Measurement.from_dict(self._read(key)[name])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def add_measurement(self, key: str, name: str, measurement: Measurement) -> None:
        """Keep a figure under this key, in place of an earlier one of this name. Raises BadInput if the disk refuses."""
        self._append(key, {name: measurement.to_dict()})

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.jsonl"

    def _read(self, key: str) -> dict[str, Any]:
        """Everything under a key. Whoever asks keeps it young."""
        path, found = self._path(key), dict[str, Any]()
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            return {}
        for line in lines:
            found.update(_open_line(line))
        with suppress(OSError):
            os.utime(path)
        return found

    def _append(self, key: str, value: Mapping[str, Any]) -> None:
        try:
            _append_line(self._path(key), _seal_line(value))
        except OSError as error:
            raise unwritable(self.folder, error) from error


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json({"schema": SCHEMA, **parts}).encode()).hexdigest()


def _seal_line(value: Mapping[str, Any]) -> bytes:
    """`CRC32 JSON`; JSON escapes every line end that is inside."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _open_line(line: bytes) -> dict[str, Any]:
    """What was sealed; nothing where the line is damaged."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _append_line(path: Path, line: bytes) -> None:
    """In one piece or, where the disk fills, not at all. Not forced to the disk: power loss may cost a line, which its checksum tells."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":  # a line that was cut off must not spoil this one
            line = b"\n" + line
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)  # which lets the lock go


def _to_hypothesis(value: Any) -> Hypothesis | None:
    try:
        text, ids, hit_cap, alternatives = value
        return Hypothesis(str(text), tuple(ids), bool(hit_cap), tuple(tuple(other) for other in alternatives))
    except (TypeError, ValueError):
        return None


def _drop_oldest(folder: Path, limit_bytes: int) -> None:
    """Whole keys, those first that were not asked for longest."""
    kept: list[tuple[float, int, str]] = []
    for entry in os.scandir(folder):
        with suppress(OSError):  # another process may drop it at this moment
            found = entry.stat()
            kept.append((found.st_mtime, found.st_size, entry.path))
    total = sum(size for _, size, _ in kept)
    if total <= limit_bytes:
        return
    for _, size, path in sorted(kept):
        if total <= KEPT_SHARE * limit_bytes:
            return
        with suppress(OSError):
            os.unlink(path)
            total -= size
