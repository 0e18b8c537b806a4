"""The study that a model and a folder of splits make, where nobody wrote a study file; and its paths made absolute."""

import re
from pathlib import Path

from paredown.data import PREFIX
from paredown.data.bundled import SPLITS
from paredown.errors import BadInput
from paredown.models.hub import is_hub_tag
from paredown.models.locate import locate_model, read_config
from paredown.models.network import read_task
from paredown.search.spec import StudySpec
from paredown.search.study_file import make_spec, read_spec
from paredown.trials.found_splits import named_split

_NEEDED = ("analysis", "search")  # what no study goes without


def default_spec(model: str, data: Path | None = None, name: str | None = None) -> StudySpec:
    """Bit-widths of the model, judged by what its task is judged by. `data`: a folder with the splits; a bundled model brings its own.

    `name`: of the study, the model's own by default. Raises BadInput where the folder lacks a split, ModelError as loading the model does.
    """
    name = name or default_name(model)
    splits = {} if data is None else {split: str(path) for split, path in splits_in(data).items()}
    settings = {"name": name, "model": {"path": model}, "data": splits, "space": {"bits": {"average": [3.0, 8.0]}}}
    return make_spec(settings | {"objectives": {"quality": quality_of(model)}}, "default study")


def splits_in(folder: Path) -> dict[str, Path]:
    """The splits that lie in a folder, each a folder or a manifest. Raises BadInput where analysis or search is missing."""
    found = {split: path for split in (*SPLITS, "train") if (path := named_split(folder, split)) is not None}
    if any(split not in found for split in _NEEDED):
        raise BadInput(f"--data is a folder with analysis and search inside (folders or manifests), got {folder}")
    return found


def default_name(model: str) -> str:
    """A name for the study of a model: that of its folder, tag or bundled model, in letters that a study's name may have."""
    path = Path(model.removeprefix(PREFIX).partition("@")[0])
    found = path.absolute().parent.name if path.suffix == ".pth" else path.absolute().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", found).lstrip(".-") or "study"


def quality_of(model: str) -> str:
    """What a model of this kind is judged by: word errors of recognition, chrF of translation. Raises ModelError as loading it does."""
    return "wer" if read_task(read_config(locate_model(model))) == "asr" else "chrf"


def anchored(spec: StudySpec) -> StudySpec:
    """The study with absolute paths, so that it can be resumed and exported from any folder."""
    data = {name: _absolute(path) for name, path in spec.data.model_dump().items()}
    model = spec.model.model_copy(update={"path": _absolute(spec.model.path)})
    warm = tuple(str(Path(folder).absolute()) for folder in spec.search.warm_start)
    search = spec.search.model_copy(update={"warm_start": warm})
    return spec.model_copy(update={"model": model, "data": spec.data.model_copy(update=data), "search": search})


def _absolute(path: str | None) -> str | None:
    return str(Path(path).absolute()) if path and not path.startswith(PREFIX) and not is_hub_tag(path) else path


def asked_spec(study: str, data: str | None = None) -> StudySpec:
    """The study of a file (NAME.toml), or default settings for a model and its `data`. Raises BadInput as reading and loading do, and for
    data beside a file.
    """
    if not study.endswith(".toml"):
        return default_spec(study, Path(data) if data else None)
    if data:
        raise BadInput(f"--data goes with a model; a study file names its own data, got --data {data} with {study}")
    return read_spec(Path(study))
