"""Whether the files of a bundle are those that its manifest names: inside the folder, of the size and content it says.

Files that no manifest names (`measurements.json`, a licence, notes) are let be: nothing reads them.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from paredown.errors import BadInput
from paredown.runtime.external_data import check_external_data

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 (hex) of one file, which lies in the folder itself."""

    name: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _PLAIN_NAME.fullmatch(self.name):
            raise ValueError(f"a file of a bundle lies in its folder under a plain name, not at {self.name!r}")
        if isinstance(self.size_bytes, bool) or not isinstance(self.size_bytes, int) or self.size_bytes < 0:
            raise ValueError(f"a file has a whole number of bytes, got {self.size_bytes!r} for {self.name}")

    @classmethod
    def from_json(cls, name: str, value: Mapping[str, Any]) -> Self:
        return cls(name, value["bytes"], value["sha256"])


def describe_files(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """What a manifest says of its files: their bytes and SHA-256 by name."""
    return {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}


def check_records(folder: Path, records: Collection[FileRecord]) -> None:
    """Raises BadInput unless every recorded file is there and unchanged: one line that names each file that is not."""
    problems = [problem for record in records if (problem := _find_problem(folder, record))]
    if problems:
        raise BadInput(f"{folder} must hold the files that its manifest names: {'; '.join(problems)}")


def check_graph(path: Path, supplied: Collection[str]) -> None:
    """Raises BadInput if an ONNX file would make onnxruntime open another file; `supplied`: tensors that the runtime hands over."""
    try:
        check_external_data(path.read_bytes(), supplied)
    except ValueError as error:
        raise BadInput(f"{path} must be a graph that opens no other file, got: {error}") from error


def check_inside(folder: Path, name: str) -> str | None:
    """What is wrong with the place of a file, if anything: it is missing, no file, or a link that leaves the folder."""
    path = folder / name
    try:
        target = path.resolve(strict=True)
    except FileNotFoundError:
        return f"{name} is missing"
    except (OSError, RuntimeError) as error:  # a link that leads to itself
        return f"{name} cannot be read ({getattr(error, 'strerror', None) or error})"
    if not target.is_relative_to(folder.resolve()):
        return f"{name} is a link that leaves the folder"
    return None if target.is_file() else f"{name} is no file"


def find_strangers(folder: Path, known: Collection[str]) -> list[str]:
    """What lies in the folder and is no file of these names, by name; a folder is none, whatever its name."""
    return sorted(path.name for path in folder.iterdir() if path.name not in known or (path.is_dir() and not path.is_symlink()))


def _find_problem(folder: Path, record: FileRecord) -> str | None:
    problem = check_inside(folder, record.name)
    if problem:
        return problem
    path = folder / record.name
    try:
        size_bytes = path.stat().st_size
        if size_bytes != record.size_bytes:
            return f"{record.name} has {size_bytes} bytes, not {record.size_bytes}"
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{record.name} cannot be read ({error.strerror})"
    if sha256 != record.sha256:
        return f"{record.name} was changed (SHA-256 {sha256[:12]}…, not {str(record.sha256)[:12]}…)"
    return None
