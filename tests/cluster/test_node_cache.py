"""The temporary cache of a node: unpacked once, never removed while in use, small."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from paredown.cluster import node_cache
from paredown.cluster.node_cache import node_folder, unpacked
from paredown.cluster.parcels import Parcel, pack
from paredown.errors import BadInput


def parcel_of(folder: Path, text: str) -> tuple[Parcel, bytes]:
    source = folder / text
    source.mkdir()
    (source / "file").write_text(text)
    return pack(source)


def test_a_folder_is_unpacked_once_and_may_be_held_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    made: list[str] = []
    unpack = node_cache.unpack
    monkeypatch.setattr(node_cache, "unpack", lambda parcel, *rest: (made.append(parcel.digest), unpack(parcel, *rest)))
    parcel, data = parcel_of(tmp_path, "a")
    with unpacked(parcel, data, root) as first, unpacked(parcel, data, root) as second:
        assert first == second
        assert (first / "file").read_text() == "a"
    assert made == [parcel.digest]


def test_the_oldest_go_but_none_in_use(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    parcels = [parcel_of(tmp_path, text) for text in "abcd"]
    with ExitStack() as stack:
        used = stack.enter_context(unpacked(*parcels[0], root, kept=1))
        for parcel, data in parcels[1:]:
            with unpacked(parcel, data, root, kept=1):
                pass
        assert (used / "file").read_text() == "a"
        assert {path.name for path in root.iterdir() if not path.suffix} == {parcels[0][0].digest, parcels[3][0].digest}
    with unpacked(*parcels[1], root, kept=1) as again:  # one that went is unpacked anew
        assert (again / "file").read_text() == "b"
    assert {path.name.partition(".")[0] for path in root.iterdir()} == {parcels[1][0].digest}


def test_what_a_killed_process_left_is_no_entry(tmp_path: Path) -> None:
    parcel, data = parcel_of(tmp_path, "a")
    root = tmp_path / "root"
    (root / f"{parcel.digest}.draft").mkdir(parents=True)
    (root / f"{parcel.digest}.draft" / "half").write_text("")
    with unpacked(parcel, data, root) as folder:
        assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = node_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(BadInput, match="this user alone may write"):
        node_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(BadInput, match="this user alone may write"):
        node_folder()
