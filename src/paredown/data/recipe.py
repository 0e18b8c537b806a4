"""The root of an ESPnet recipe (`egs2/CORPUS/st1`), from which its files name one another."""

from pathlib import Path

PARTS = ("conf", "data", "dump", "exp")
_LEAST_PARTS = 2


def recipe_root(path: Path) -> Path | None:
    """The nearest folder around `path` that holds two or more of `conf`, `data`, `dump` and `exp`; None outside a recipe."""
    for folder in (path.absolute(), *path.absolute().parents):
        if sum((folder / part).is_dir() for part in PARTS) >= _LEAST_PARTS:
            return folder
    return None
