"""Analyses are kept in the user's cache, by a digest of everything that determines them, and shared by all studies."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from paredown.user_cache import cache_folder, unwritable

# Goes up whenever the same model, data and settings would give another analysis, or when the file changes its form.
SCHEMA = 2


class Stored(Protocol):
    """A result that knows its file: `load` raises FileNotFoundError or, for a damaged file, ValueError; `save` writes atomically."""

    def save(self, path: Path) -> None: ...

    @classmethod
    def load(cls, path: Path) -> Self: ...


Result = TypeVar("Result", bound=Stored)


class AnalysisCache:
    """Analyses on disk, one file each; a damaged file counts as absent, so that it is measured again and replaced."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` defaults to the user's cache. Raises BadInput if it cannot be written, before anything is measured in vain."""
        self.folder = (cache_folder() if folder is None else folder) / "analysis"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise unwritable(self.folder, PermissionError("no permission"))

    def key(self, model_digest: str, data_digest: str, settings: Mapping[str, Any]) -> str:
        """SHA-256 of model, data, settings (plain JSON values) and the version of the analysis itself."""
        parts = {"schema": SCHEMA, "model": model_digest, "data": data_digest, "settings": dict(settings)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def load(self, key: str, kind: type[Result]) -> Result | None:
        """The result of this kind stored under this key, None if there is none or if its file is damaged."""
        try:
            return kind.load(self._path(key))
        except (FileNotFoundError, ValueError):
            return None

    def store(self, key: str, analysis: Stored) -> None:
        """Keep an analysis under this key, replacing what was there; written atomically. Raises BadInput if the disk refuses."""
        try:
            analysis.save(self._path(key))
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
