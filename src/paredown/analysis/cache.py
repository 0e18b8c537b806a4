"""Analyses on disk, by what determines them: model, data, settings, and the version of the code that measures.

They lie in the user's cache (`PAREDOWN_CACHE`, else `XDG_CACHE_HOME/paredown`, else `~/.cache/paredown`), shared by all studies. A file
carries its own checksum; one that is damaged is not trusted but measured again.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paredown.analysis.result import Analysis

VERSION = 1  # raised whenever the same inputs would give other figures
_DIGEST_BYTES = 32


def cache_folder() -> Path:
    """Where paredown keeps what it can measure again."""
    named = os.environ.get("PAREDOWN_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paredown"


class AnalysisCache:
    """Analyses by key; a missing, damaged or unreadable one is None."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or cache_folder()) / "analysis"

    def key(self, model_digest: str, data_digest: str, settings: Mapping[str, Any]) -> str:
        """SHA-256, in hex, of everything that determines an analysis."""
        text = json.dumps([VERSION, model_digest, data_digest, dict(settings)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load(self, key: str) -> Analysis | None:
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            return Analysis.from_bytes(body)
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile):
            return None

    def store(self, key: str, analysis: Analysis) -> None:
        """Written beside its place and moved there, so that a reader finds all of it or nothing."""
        body = analysis.to_bytes()
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self.folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(body).digest() + body)
        os.replace(draft, self._path(key))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.analysis"
