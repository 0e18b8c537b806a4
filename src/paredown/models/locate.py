"""Where the files of a model are: `bundled:NAME`, a folder, a weights file in one, or a tag of the hub; its config, weights, tokenizer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from paredown.data.bundled import PREFIX, bundled_folder
from paredown.data.recipe import recipe_root
from paredown.models.errors import ModelError
from paredown.models.hub import check_within, download_model, is_hub_tag

CONFIG = "config.yaml"
_TRAINING_STATE = "checkpoint.pth"  # optimizer and all, no weights alone
_AVERAGE = "valid.acc.ave.pth"  # what recipes decode with; a link to the largest average


@dataclass(frozen=True)
class Located:
    """A model's folder and weights file. `snapshot`: the download that every file must lie in, None for what is on this disk anyway."""

    folder: Path
    weights: Path
    snapshot: Path | None = None


def locate(path: str | Path) -> Located:
    """Folder and weights of a model.

    Raises ModelError if there are none or the choice is open, BadInput if nothing bundled has that name.
    """
    text = str(path)
    if is_hub_tag(text):
        found = download_model(text)
        return Located(found.folder, found.weights or locate_weights(found.folder), found.snapshot)
    folder = locate_model(path)
    named = Path(path)
    return Located(folder, named if named.suffix == ".pth" and named.is_file() else locate_weights(folder))


def locate_model(path: str | Path) -> Path:
    """The folder of a model; raises ModelError if there is none, BadInput if nothing bundled has that name."""
    text = str(path)
    if is_hub_tag(text):
        return download_model(text).folder
    folder = bundled_folder(text) / "model" if text.startswith(PREFIX) else Path(path)
    if folder.suffix == ".pth" and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        found = "a file" if folder.exists() else "not there"
        raise ModelError(f"a model must be a folder with {CONFIG} and *.pth, got {text}, which is {found}")
    if not (folder / CONFIG).is_file():
        nested = sorted(found.parent.name for found in (*folder.glob(f"*/{CONFIG}"), *folder.glob(f"exp/*/{CONFIG}")))
        hint = f"; give one of the folders inside: {', '.join(nested)}" if nested else ""
        raise ModelError(f"a model folder must hold {CONFIG}, got {text} without it{hint}")
    return folder


def locate_weights(folder: Path) -> Path:
    """The weights file: the average of checkpoints, else the only *.pth; raises ModelError if the choice is open.

    Of several averages the one that `valid.acc.ave.pth` links to, as recipes decode with.
    """
    names = {path.name: path for path in sorted(folder.glob("*.pth")) if path.name != _TRAINING_STATE and path.is_file()}
    found = _distinct(names.values())
    averages = _distinct(path for name, path in names.items() if ".ave" in name)
    if len(averages) > 1 and _AVERAGE in names:
        averages = [path for path in averages if path.resolve() == names[_AVERAGE].resolve()]
    for choice in (averages, found):
        if len(choice) == 1:
            return choice[0]
        if choice:
            listed = ", ".join(path.name for path in choice)
            raise ModelError(f"a model folder must leave one weights file to choose, got {listed}: name the file itself")
    raise ModelError(f"a model folder must hold a *.pth file, got {folder} without one")


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """One path for each file; a link gives way to what it links to."""
    found: dict[Path, Path] = {}
    for path in paths:
        kept = found.setdefault(path.resolve(), path)
        if kept.is_symlink() and not path.is_symlink():
            found[path.resolve()] = path
    return list(found.values())


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


def locate_tokenizer(folder: Path, config: Mapping[str, Any], snapshot: Path | None = None) -> Path | None:
    """The sentencepiece file of a BPE model; None for other token types. Raises ModelError where there is none.

    It is looked for as the config writes it, in the recipe around the model, in the model's folder and, last, from the working folder. Of a
    download (`snapshot`) no file outside is opened, whatever its config names.
    """
    if config.get("token_type") != "bpe":
        return None
    written = config.get("bpemodel")
    places = places_of(folder, written) if isinstance(written, str) and "\0" not in written else iter(())
    for candidate in [*places, folder / "bpe.model"]:
        if candidate.is_file() and (snapshot is None or check_within(candidate, snapshot)):
            return candidate
    around = snapshot or recipe_root(folder)
    also = f" nor in the recipe {around}" if around is not None and around != folder else ""
    raise ModelError(
        f"bpemodel must be a file, got {written!r}, which is neither there nor in {folder}{also}: copy it to {folder / 'bpe.model'}"
    )


def places_of(folder: Path, written: str) -> Iterator[Path]:
    """Where a config's path may lead: recipes write it from their root, and an absolute one may come from another machine."""
    path, root = Path(written), recipe_root(folder)
    if path.is_absolute():
        yield path
        if root is not None and "data" in path.parts:
            yield root.joinpath(*path.parts[len(path.parts) - 1 - path.parts[::-1].index("data") :])
    elif root is not None:
        yield root / path
    yield folder / path
    yield folder / path.name
    if not path.is_absolute():
        yield path
