"""The files of results that are one array and a description."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.npz import write_npz


def save_array(path: Path, kind: str, array: NDArray[np.float64], description: Mapping[str, Any]) -> None:
    """Write one npz file (the array, and a JSON text of the rest), atomically; its folder must exist."""
    text = np.array(json.dumps({"kind": kind, **description}, sort_keys=True))
    write_npz(path, {"array": array, "description": text}, compressed=True)


def load_array(path: Path, kind: str) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """What `save_array` wrote; raises ValueError if the file is damaged or of another kind, FileNotFoundError if there is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array, described = arrays["array"], json.loads(str(arrays["description"]))
        if described.pop("kind") != kind:
            raise ValueError("it is of another kind")
        return array, described
    except FileNotFoundError:
        raise
    except (OSError, EOFError, KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"a file of {kind} must be as paredown wrote it, {path} is not: {error}") from error
