"""A finished study of the tiny model, and the folder in which its model and splits lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import paredown
from tests.commands.tiny import write_study


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAREDOWN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny.toml`, its model and splits, and `study`, run to its end."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("place")
    paredown.run(write_study(folder), trials=4, folder=folder / "study")
    return folder


@pytest.fixture(scope="session")
def study(place: Path) -> paredown.Study:
    return paredown.Study(place / "study")
