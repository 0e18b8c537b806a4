"""Folders that are there in full or not at all, whatever fails on the way."""

import os
from pathlib import Path

import pytest

from paredown.bundle import folder
from paredown.bundle.folder import check_target, write_folder
from paredown.errors import BadInput

OLD, NEW = {"a": b"old", "b": b"gone"}, {"a": b"new", "c": b"more"}


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    write_folder(tmp_path / "folder", OLD)
    return tmp_path / "folder"


@pytest.fixture
def no_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, as where folders cannot be swapped."""
    monkeypatch.setattr(folder, "_swap", lambda *_: False)


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    write_folder(tmp_path / "new" / "folder", NEW)
    assert content(tmp_path / "new" / "folder") == NEW
    assert os.listdir(tmp_path / "new") == ["folder"]
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o755


def test_a_folder_is_replaced_in_one_step_where_folders_can_be_swapped(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x", "y"):
        (target.parent / name).mkdir()
    if not folder._swap(target.parent / "x", target.parent / "y"):
        pytest.skip("libc, kernel or file system has no renameat2 with RENAME_EXCHANGE")
    monkeypatch.delattr(Path, "rename")
    write_folder(target, NEW)
    assert content(target) == NEW
    assert sorted(os.listdir(target.parent)) == ["folder", "x", "y"]


@pytest.mark.usefixtures("no_swap")
def test_a_folder_is_replaced_step_by_step_elsewhere(target: Path) -> None:
    write_folder(target, NEW)
    assert content(target) == NEW
    assert os.listdir(target.parent) == ["folder"]


@pytest.mark.usefixtures("no_swap")
@pytest.mark.parametrize("fault", ["sync", "rename"])
def test_a_write_that_fails_leaves_the_old_folder_and_nothing_else(fault: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fail_to_arrive(source: Path, goal: Path) -> Path:
        return rename(source, goal) if source.name in ("folder", "old") else fail()  # type: ignore[func-returns-value]

    if fault == "sync":
        monkeypatch.setattr(folder.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail_to_arrive)
    with pytest.raises(BadInput, match=r"folder cannot be written: No space left on device$"):
        write_folder(target, NEW)
    assert content(target) == OLD
    assert os.listdir(target.parent) == ["folder"]


@pytest.mark.usefixtures("no_swap")
def test_a_folder_that_cannot_be_put_aside_leaves_nothing_beside_it(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BadInput, match="cannot be written: Device or resource busy"):
        write_folder(target, NEW)
    assert content(target) == OLD
    assert os.listdir(target.parent) == ["folder"]


@pytest.mark.parametrize("name", [".", "../here", "inside/.."])
def test_the_current_directory_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BadInput, match=r"here, which is the current directory: name a new folder in it"):
        check_target(Path(name), "a bundle", lambda _: None, force=True)


def test_a_mount_point_is_refused() -> None:
    with pytest.raises(BadInput, match="which is a mount point"):
        check_target(Path("/proc"), "a bundle", lambda _: None, force=True)


def test_a_path_with_dots_is_the_folder_that_it_leads_to(target: Path) -> None:
    (target.parent / "other").mkdir()
    write_folder(target.parent / "other" / ".." / "folder", NEW)
    assert content(target) == NEW


def test_replacing_a_link_leaves_what_it_leads_to(target: Path) -> None:
    (target.parent / "link").symlink_to(target)
    write_folder(target.parent / "link", NEW)
    assert content(target) == OLD
    assert content(target.parent / "link") == NEW
    assert sorted(os.listdir(target.parent)) == ["folder", "link"]


def test_folders_that_cannot_be_swapped_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not folder._swap(tmp_path / "a", tmp_path / "missing")
    assert os.listdir(tmp_path) == ["a"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match=r"writable place, got .*file/folder"):
        write_folder(tmp_path / "file" / "folder", NEW)


def test_only_a_folder_of_the_same_kind_may_be_replaced_and_only_by_force(target: Path, tmp_path: Path) -> None:
    def is_bundle(path: Path) -> None:
        if not (path / "b").exists():
            raise BadInput("no bundle")

    check_target(tmp_path / "nothing", "a bundle", is_bundle, force=False)
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", "a bundle", is_bundle, force=False)
    with pytest.raises(BadInput, match=r"a bundle is replaced only .*--force"):
        check_target(target, "a bundle", is_bundle, force=False)
    check_target(target, "a bundle", is_bundle, force=True)
    (target / "b").unlink()
    with pytest.raises(BadInput, match=r"new folder or over a bundle, got .* which is neither"):
        check_target(target, "a bundle", is_bundle, force=True)
