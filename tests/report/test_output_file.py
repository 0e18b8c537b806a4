"""Output files are refused before the work whose results they would hold."""

from pathlib import Path

import pytest

from paredown.errors import BadInput
from paredown.report import output_file
from paredown.report.output_file import check_output_file


def test_what_can_be_written_passes(tmp_path: Path) -> None:
    check_output_file(tmp_path / "new.png", "a figure")
    (tmp_path / "old.png").touch()
    check_output_file(tmp_path / "old.png", "a figure")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the folder of a figure must exist, got .*none/new.png"):
        check_output_file(tmp_path / "none" / "new.png", "a figure")


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a figure must be a file that can be written"):
        check_output_file(tmp_path, "a figure")


@pytest.mark.parametrize("exists", [False, True])
def test_without_permission(tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the refusal of the system is faked, for exactly what must be asked."""
    path = tmp_path / "f.png"
    if exists:
        path.touch()
    asked = path if exists else tmp_path
    monkeypatch.setattr(output_file.os, "access", lambda place, _: place != asked)
    with pytest.raises(BadInput, match="a figure must be a file that can be written"):
        check_output_file(path, "a figure")
