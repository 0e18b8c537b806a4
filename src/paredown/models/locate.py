"""Where the files of a model are: `bundled:NAME` or a folder, its config, its one weights file, its tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from paredown.data.bundled import PREFIX, bundled_folder
from paredown.models.errors import ModelError

CONFIG = "config.yaml"


def locate_model(path: str | Path) -> Path:
    """The folder of a model; raises ModelError if there is none, BadInput if nothing bundled has that name."""
    text = str(path)
    folder = bundled_folder(text) / "model" if text.startswith(PREFIX) else Path(path)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "not there"
        raise ModelError(f"a model must be a folder with {CONFIG} and *.pth, got {text}, which is {found}")
    if not (folder / CONFIG).is_file():
        raise ModelError(f"a model folder must hold {CONFIG}, got {text} without it")
    return folder


def locate_weights(folder: Path) -> Path:
    """The one weights file: an average of checkpoints if there is one, else the only *.pth; raises ModelError if the choice is open."""
    found = sorted({path.resolve() for path in folder.glob("*.pth")})
    averages = sorted({path.resolve() for path in folder.glob("*.ave*.pth")})
    for choice in (averages, found):
        if len(choice) == 1:
            return choice[0]
        if choice:
            raise ModelError(f"a model folder must leave one weights file to choose, got {', '.join(path.name for path in choice)}")
    raise ModelError(f"a model folder must hold a *.pth file, got {folder} without one")


def read_config(folder: Path) -> dict[str, Any]:
    """The config as plain data; raises ModelError if it is not a YAML mapping."""
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{CONFIG} must be readable plain YAML, got {folder / CONFIG}: {reason}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{CONFIG} must hold a mapping, got {type(config).__name__} in {folder / CONFIG}")
    return config


def locate_tokenizer(folder: Path, config: Mapping[str, Any]) -> Path | None:
    """The sentencepiece file of a BPE model (as the config writes it, else in the model's folder); None for other token types."""
    if config.get("token_type") != "bpe":
        return None
    written = config.get("bpemodel")
    candidates = [Path(written), folder / written, folder / Path(written).name] if isinstance(written, str) else []
    for candidate in [*candidates, folder / "bpe.model"]:
        if candidate.is_file():
            return candidate
    raise ModelError(f"bpemodel must be a file, got {written!r}, which is neither there nor in {folder}")
