"""Files that a command writes after long work are checked before it."""

import os
from pathlib import Path

from paredown.errors import BadInput


def check_output_file(path: Path, what: str) -> None:
    """Raises BadInput where `what` could not be written: no folder, a folder of that name, or no permission."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInput(f"the folder of {what} must exist, got {path}")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise BadInput(f"{what} must be a file that can be written, got {path}")
