"""The model and the splits that come with paredown: `bundled:NAME`."""

from pathlib import Path

from paredown.data.split import Split, load_split
from paredown.errors import BadInput

PREFIX = "bundled:"
SPLITS = ("analysis", "search", "test")
_SUPERNET = "-supernet"
_ROOT = Path(__file__).parent.parent / "bundled"


def bundled_folder(reference: str) -> Path:
    """Folder of `bundled:NAME`, with `model/` and a folder for each split. Raises BadInput if there is no such name."""
    if reference not in bundled_names():
        raise BadInput(f"paredown comes with {', '.join(bundled_names())}; got {reference!r}")
    return _ROOT / reference.removeprefix(PREFIX)


def bundled_names() -> tuple[str, ...]:
    """Every `bundled:NAME`."""
    return tuple(sorted(PREFIX + folder.name for folder in _ROOT.iterdir() if folder.is_dir() and not folder.name.startswith("_")))


def open_data(reference: str | Path) -> Split:
    """The split that the user names: a manifest, a folder, or `bundled:NAME/SPLIT` (analysis, search or test).

    A supernet has the splits of the model that it was made of.
    """
    text = str(reference)
    if not text.startswith(PREFIX):
        return load_split(reference)
    name, _, split = text.partition("/")
    if split not in SPLITS:
        raise BadInput(f"a bundled model has the splits {', '.join(f'{name}/{each}' for each in SPLITS)}; got {text!r}")
    return Split(text, load_split(bundled_folder(name.removesuffix(_SUPERNET)) / split).utterances)
