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
