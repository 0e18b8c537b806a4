"""The model and the splits that come with paredown: `bundled:NAME`."""

from pathlib import Path

from paredown.data.split import Split, load_split
from paredown.errors import BadInput

PREFIX = "bundled:"
SPLITS = ("analysis", "search", "test")


def bundled_folder(reference: str) -> Path:
    """Folder of `bundled:NAME`, with `model/` and a folder for each split. Raises BadInput if there is no such name."""
    root = Path(__file__).parent.parent / "bundled"
    name = reference.removeprefix(PREFIX)
    known = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("_"))
    if name not in known:
        raise BadInput(f"paredown comes with {', '.join(PREFIX + each for each in known)}; got {reference!r}")
    return root / name


def open_data(reference: str | Path) -> Split:
    """The split that the user names: a manifest, a folder, or `bundled:NAME/SPLIT` (analysis, search or test)."""
    text = str(reference)
    if not text.startswith(PREFIX):
        return load_split(reference)
    name, _, split = text.partition("/")
    if split not in SPLITS:
        raise BadInput(f"a bundled model has the splits {', '.join(f'{name}/{each}' for each in SPLITS)}; got {text!r}")
    return Split(text, load_split(bundled_folder(name) / split).utterances)
