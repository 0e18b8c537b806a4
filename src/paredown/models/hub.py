"""Models by their tag on the Hugging Face hub (`espnet/NAME`, or `espnet/NAME@REVISION`), in the layout of espnet_model_zoo.

There `meta.yaml` names config and weights by their paths in the repository, and the config names the tokenizer by its own. Only these
files are downloaded, into the hub's own cache; code never. What they name stays inside the download: a path that leads out is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from paredown.models.errors import ModelError

META = "meta.yaml"
INSTALL = "pip install 'paredown[hub]'"
_TAG = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TASKS = ("st", "asr")
_BESIDE = ["*.model", "*.npz"]  # tokenizers and statistics
_WITHOUT_META = ["*config.yaml", "*.ave*.pth", *_BESIDE]


@dataclass(frozen=True)
class Downloaded:
    """A model in the hub's cache. `weights`: None where the repository names none; `revision`: its commit, None where it does not tell."""

    folder: Path
    weights: Path | None
    snapshot: Path
    revision: str | None


def is_hub_tag(text: str) -> bool:
    """Whether `text` names a model of the hub: `org/name`, unless something of that name is here.

    Where a folder `org` is here a path was meant, but for `espnet`, whose checkout lies in many a working folder.
    """
    found = _TAG.fullmatch(text)
    if found is None or text.endswith((".pth", ".toml")) or Path(text).exists():
        return False
    organization = text.partition("/")[0]
    return organization == "espnet" or not Path(organization).exists()


def download_model(tag: str) -> Downloaded:
    """The model of a tag, downloaded unless it is in the cache. Raises ModelError, one line, where that fails or a path leads out."""
    found = _TAG.fullmatch(tag)
    if found is None:
        raise ModelError(f"a tag of the hub is org/name or org/name@revision, got {tag!r}")
    snapshot = _fetch(tag, found["name"], found["revision"], [META])
    revision = snapshot.name if _COMMIT.fullmatch(snapshot.name) else None
    if (snapshot / META).is_file():
        config, weights = _read_meta(snapshot, tag)
        snapshot = _fetch(tag, found["name"], revision or found["revision"], [META, escape(config), escape(weights), *_BESIDE])
        for named in (config, weights):
            if not (snapshot / named).is_file():
                raise ModelError(f"{META} must name files of the repository, got {named!r}, which {tag} does not hold")
            _refuse_outside(snapshot / named, snapshot, named)
        return Downloaded((snapshot / config).parent, snapshot / weights, snapshot, revision)
    snapshot = _fetch(tag, found["name"], revision or found["revision"], _WITHOUT_META)
    folders = sorted({path.parent for path in snapshot.rglob("config.yaml") if any(path.parent.glob("*.pth"))})
    if len(folders) != 1:
        listed = ", ".join(str(folder.relative_to(snapshot)) for folder in folders) or "none"
        raise ModelError(f"{tag} must hold {META}, or one folder with config.yaml and an average of checkpoints; got {listed}")
    for path in (folders[0] / "config.yaml", *folders[0].glob("*.pth")):
        _refuse_outside(path, snapshot, str(path.relative_to(snapshot)))
    return Downloaded(folders[0], None, snapshot, revision)


def pinned(tag: str) -> str:
    """The tag with the commit that it names today, so that a study keeps its model."""
    found, name = download_model(tag), tag.partition("@")[0]
    return tag if found.revision is None else f"{name}@{found.revision}"


def check_within(path: Path, snapshot: Path) -> bool:
    """Whether a file lies in a download, links followed: in its folder, or where the hub's cache keeps what its folder links to."""
    resolved, blobs = path.resolve(), snapshot.parent.parent / "blobs"
    return resolved.is_relative_to(snapshot.resolve()) or (snapshot.parent.name == "snapshots" and resolved.is_relative_to(blobs.resolve()))


def _refuse_outside(path: Path, snapshot: Path, named: str) -> None:
    if not check_within(path, snapshot):
        raise ModelError(f"paths of a hub model must stay inside its download, got {named!r}")


def _read_meta(snapshot: Path, tag: str) -> tuple[str, str]:
    """Paths of config and weights inside the repository."""
    _refuse_outside(snapshot / META, snapshot, META)
    try:
        meta = yaml.safe_load((snapshot / META).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ModelError(f"{META} must be readable plain YAML, got that of {tag}: {' '.join(str(error).split())}") from error
    files, configs = (_mapping(meta, key) for key in ("files", "yaml_files"))
    for task in _TASKS:
        weights, config = files.get(f"{task}_model_file"), configs.get(f"{task}_train_config")
        if isinstance(weights, str) and isinstance(config, str):
            for named in (config, weights):
                parts = PurePosixPath(named)
                if parts.is_absolute() or ".." in parts.parts or "\0" in named:
                    raise ModelError(f"paths of a hub model must stay inside its download, got {named!r}")
            if PurePosixPath(config).name != "config.yaml":
                raise ModelError(f"a model's config must be named config.yaml, got {config!r} in {tag}")
            return config, weights
    known = " or ".join(f"{task}_model_file with {task}_train_config" for task in _TASKS)
    raise ModelError(f"{META} must name {known}, that of {tag} names {', '.join(sorted([*files, *configs])) or 'nothing'}")


def _mapping(meta: Any, key: str) -> dict[str, Any]:
    section = meta.get(key) if isinstance(meta, dict) else None
    return {str(name): value for name, value in section.items()} if isinstance(section, dict) else {}


def _fetch(tag: str, name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder of a download that has at least the files of these patterns."""
    try:
        import huggingface_hub
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    except ModuleNotFoundError:
        raise ModelError(f"a model must be a folder, got {tag}, which is none here; as a tag of the hub it takes {INSTALL}") from None
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except GatedRepoError:
        raise ModelError(f"{name} is shared on request: accept its terms on the hub, then `hf auth login`") from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"a model must be a folder or a tag of the hub, got {tag}: no such folder, and the hub has no such model"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"{name} has no revision {revision!r} on the hub") from None
    except Exception as error:  # whatever the client's HTTP library raises where there is no network, or a proxy
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{tag} is no folder here and could not be downloaded ({type(error).__name__}: {reason}): is there a network?"
        ) from error
