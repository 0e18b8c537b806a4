"""Packed folders: the same bytes for the same files, and no archive that writes beside its folder."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from paredown.cluster.parcels import Parcel, pack, unpack
from paredown.errors import BadInput


def archive(*entries: tarfile.TarInfo) -> tuple[Parcel, bytes]:
    """An archive that was not made by `pack`, with the digest it should have."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for entry in entries:
            made.addfile(entry, io.BytesIO(b"x" * entry.size))
    return Parcel(hashlib.sha256(buffer.getvalue()).hexdigest(), None), buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return found


def test_a_folder_arrives_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "ä.bin").write_bytes(b"\0\1")
    (source / "empty").write_bytes(b"")
    parcel, data = pack(source)
    target.mkdir()
    unpack(parcel, data, target)
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == {
        Path("deep/ä.bin"): b"\0\1",
        Path("empty"): b"",
    }
    os.utime(source / "empty", (1, 1))
    assert pack(source) == (parcel, data)


def test_a_file_keeps_its_suffix(tmp_path: Path) -> None:
    file = tmp_path / "a.opus"
    file.write_bytes(b"sound")
    assert pack(file) == (Parcel(hashlib.sha256(b"sound").hexdigest(), ".opus"), b"sound")


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (entry("../outside"), "inside its folder"),
        (entry("deep/../../outside"), "inside its folder"),
        (entry("/outside"), "inside its folder"),
        (entry("link", tarfile.SYMTYPE, "/etc"), "plain files"),
        (entry("link", tarfile.LNKTYPE, "../outside"), "plain files"),
        (entry("pipe", tarfile.FIFOTYPE), "plain files"),
        (entry("device", tarfile.CHRTYPE), "plain files"),
    ],
)
def test_an_archive_that_escapes_is_refused_before_anything_is_written(tmp_path: Path, bad: tarfile.TarInfo, rule: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(BadInput, match=rule):
        unpack(*archive(entry("good"), bad), folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_other_bytes_than_those_sent_are_refused(tmp_path: Path) -> None:
    parcel, data = archive(entry("good"))
    with pytest.raises(BadInput, match="arrive as it was sent"):
        unpack(parcel, data[:-1] + b"!", tmp_path)
    noise = b"no archive" * 100
    with pytest.raises(BadInput, match="tar archive"):
        unpack(Parcel(hashlib.sha256(noise).hexdigest(), None), noise, tmp_path)
    assert list(tmp_path.iterdir()) == []
