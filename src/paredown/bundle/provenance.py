"""`paredown.json`: what a folder is that paredown wrote for others to read, what it was made of, and the digests of its files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paredown.errors import BadInput
from paredown.runtime.file_check import describe_files, find_strangers
from paredown.runtime.seal import check_seal, seal

PROVENANCE = "paredown.json"
SCHEMA = 1


def write_provenance(form: str, about: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The file for a folder of the given form ("self-contained", "espnet") that holds `files`; `about`: model, configuration, versions."""
    return seal({**about, "form": form, "schema": SCHEMA, "files": describe_files(files)}).encode()


def check_provenance(folder: Path, form: str) -> None:
    """Raises BadInput unless paredown wrote this folder in this form and nothing else lies in it, so that nothing is lost with it."""
    try:
        text = (folder / PROVENANCE).read_text(encoding="utf-8")
        value = json.loads(text)
        check_seal(value, text)
        known = {PROVENANCE, *value["files"]}
        if value["form"] != form:
            raise ValueError(f"it has the form {value['form']}")
        if value["schema"] != SCHEMA:
            raise ValueError(f"it has schema {value['schema']}, and {SCHEMA} is the one that is known here")
        unknown = find_strangers(folder, known)
        if unknown:
            raise ValueError(f"it also holds {', '.join(unknown)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder} must be a folder that paredown wrote in the form {form}: {error}") from error
