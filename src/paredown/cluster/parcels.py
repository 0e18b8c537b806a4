"""Files on their way to another machine: a folder as a tar of its files, a file as its bytes, both known by the digest of their content."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from paredown.errors import BadInput


@dataclass(frozen=True)
class Parcel:
    """What travels beside its bytes: their SHA-256 in hex, and the file's suffix (None: the bytes are the tar of a folder)."""

    digest: str
    suffix: str | None


def pack(path: Path) -> tuple[Parcel, bytes]:
    """A folder or a file and its bytes; equal contents give equal bytes, whatever their times and owners."""
    data = path.read_bytes() if path.is_file() else _tar(path)
    return Parcel(hashlib.sha256(data).hexdigest(), path.suffix if path.is_file() else None), data


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = file.read_bytes()
            entry = tarfile.TarInfo(file.relative_to(folder).as_posix())  # no times, no owners
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpack(parcel: Parcel, data: bytes, folder: Path) -> None:
    """The files of a packed folder, in `folder`, which must be there and empty.

    Raises BadInput, before anything is written, for bytes that are not the parcel's, for an archive that cannot be read, and for entries
    that are no plain file inside the folder (links, absolute paths, "..").
    """
    if hashlib.sha256(data).hexdigest() != parcel.digest:
        raise BadInput(f"a parcel must arrive as it was sent: {len(data)} bytes are not those of {parcel.digest[:12]}")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            entries = archive.getmembers()
            for entry in entries:
                _check(entry)
            for entry in entries:
                content = archive.extractfile(entry)
                assert content is not None  # _check lets plain files through alone
                file = folder / entry.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.read())
    except tarfile.TarError as error:
        raise BadInput(f"a parcel must be a tar archive, {parcel.digest[:12]} is not ({error})") from None


def _check(entry: tarfile.TarInfo) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadInput(f"a parcel's files must lie inside its folder, got {entry.name!r}")
    if not entry.isreg():
        raise BadInput(f"a parcel holds plain files alone, {entry.name!r} is none")
