"""Where what is found once is kept for every later study of this user."""

import os
from collections.abc import Mapping
from pathlib import Path

from paredown.errors import BadInput


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`PAREDOWN_CACHE`, or `paredown` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    if environment.get("PAREDOWN_CACHE"):
        return Path(environment["PAREDOWN_CACHE"]).expanduser().absolute()
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "paredown"  # a relative XDG path must be ignored, says the standard


def unwritable(folder: Path, error: OSError) -> BadInput:
    """What the user is told where a folder of the cache refuses to be written."""
    return BadInput(f"the cache folder must be writable, {folder} is not ({error.strerror or error}); PAREDOWN_CACHE names another")
