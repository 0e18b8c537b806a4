"""The wheel holds every folder that imports: an undeclared subpackage works in development and is missing from what users install."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "paredown.space": ROOT / "space",
    "paredown.profilers": ROOT / "profilers",
    "paredown.search": ROOT / "search",
    "paredown": ROOT / "src" / "paredown",
}


def subpackages(name: str, folder: Path) -> set[str]:
    """`name` and every package below it, as the folders on disk tell."""
    found = set()
    for init in folder.rglob("__init__.py"):
        parts = init.parent.relative_to(folder).parts
        found.add(".".join((name, *parts)))
    return found


def test_declared_packages_are_the_folders_on_disk() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    on_disk = set().union(*(subpackages(name, folder) for name, folder in FOLDERS.items()))
    assert set(project["tool"]["setuptools"]["packages"]) == on_disk


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in FOLDERS.values():
        for module in folder.rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module.parent.relative_to(ROOT)} has modules and no __init__.py"


def test_data_files_are_in_the_wheel() -> None:
    """Whatever lies beside the modules is covered by package-data: what is not there, users do not get."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data: dict[str, list[str]] = project["tool"]["setuptools"]["package-data"]
    covered = {path for name, patterns in data.items() for pattern in patterns for path in folder_of(name).glob(pattern)}
    on_disk = {path for folder in FOLDERS.values() for path in folder.rglob("*") if is_data(path)}
    assert {path.name for path in on_disk} >= {"tdp.csv", "py.typed", "config.yaml", "manifest.jsonl"}
    assert sorted(on_disk - covered) == []


def folder_of(package: str) -> Path:
    name = max((name for name in FOLDERS if f"{package}.".startswith(f"{name}.")), key=len)
    return FOLDERS[name].joinpath(*package.removeprefix(name).split("."))


def is_data(path: Path) -> bool:
    return path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
