"""The splits of a study, found in what a user has: a folder with the splits, one Kaldi-style folder or manifest, or a recipe's folders.

One folder is divided by a seed. Kaldi-style folders become manifests, since only the model's config tells which text is the translation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paredown.data import Split, load_split
from paredown.data.bundled import SPLITS
from paredown.data.kaldi import WAV_SCP, TextFiles
from paredown.errors import BadInput

LEAST_UTTERANCES = 10  # of a part
MOST_UTTERANCES = {"analysis": 100, "search": 200}  # as the bundled model has: figures of a trial are known well enough, and soon
_DEV = re.compile(r"(?:.*[._-])?(?:dev|valid|val)(?:[._0-9-].*)?", re.IGNORECASE)
_TEST = re.compile(r"(?:test|tst|eval).*", re.IGNORECASE)


@dataclass(frozen=True)
class FoundSplit:
    """A split by its name in a study. `place`: what it was taken from; `file`: what the study names, None where a manifest is written.

    `about`: what of `place` it is, in words; `divided`: whether other splits are of the same place.
    """

    name: str
    split: Split
    place: Path
    file: Path | None
    about: str
    divided: bool = False


@dataclass(frozen=True)
class FoundData:
    """What a study takes. `train`: a place to train on, where one lies beside the others; nothing of it is read."""

    splits: tuple[FoundSplit, ...]
    train: Path | None = None

    def of(self, name: str) -> FoundSplit | None:
        return next((found for found in self.splits if found.name == name), None)


def find_data(data: Path, test: Path | None, texts: TextFiles, prefer: str | None, seed: int) -> FoundData:
    """The splits in `data`, with `test` in the place of what is found there. `prefer`: the folder that the model was validated on.

    Raises BadInput, one line, where there are none, too few utterances, or several that could be meant.
    """
    if not data.exists():
        raise BadInput(f"--data must exist, got {data}")
    given = None if test is None else _whole("test", test, texts)
    named = {name: path for name in (*SPLITS, "train") if (path := named_split(data, name)) is not None}
    if "analysis" in named and "search" in named:
        found = [_whole(name, named[name], texts) for name in SPLITS if name in named and (name != "test" or not given)]
        return FoundData((*found, *([given] if given else [])), named.get("train"))
    if _is_split(data):
        return FoundData(_divide(data, given, texts, seed))
    return _from_recipe(data, given, texts, prefer, seed)


def named_split(folder: Path, name: str) -> Path | None:
    """What a folder holds under the name of a split: a folder or a manifest."""
    return next((path for path in (folder / name, folder / f"{name}.jsonl", folder / f"{name}.tsv") if path.exists()), None)


def text_files(config: Mapping[str, Any], task: str) -> tuple[TextFiles, str | None]:
    """The names of the text files that a model was trained with, and of the folder that it was validated on, where its config tells."""
    listed = config.get("valid_data_path_and_name_and_type") or config.get("train_data_path_and_name_and_type") or ()
    triples = [entry for entry in listed if isinstance(entry, list | tuple) and len(entry) >= 2] if isinstance(listed, list | tuple) else []
    paths = {str(name): Path(str(path)) for path, name, *_ in triples}
    output, source = (paths[name].name if name in paths else None for name in ("text", "src_text"))
    speech = paths.get("speech")
    texts = TextFiles(source, output) if task == "st" else TextFiles(output)
    return texts, None if speech is None else speech.parent.name


def _is_split(path: Path) -> bool:
    return path.is_file() or (path / WAV_SCP).is_file() or (path / "manifest.jsonl").is_file()


def _load(path: Path, texts: TextFiles) -> tuple[Split, bool]:
    """A split and whether it is a manifest, which a study can name as it is."""
    return load_split(path, texts=texts), path.is_file() or (path / "manifest.jsonl").is_file()


def _whole(name: str, path: Path, texts: TextFiles) -> FoundSplit:
    split, is_manifest = _load(path, texts)
    return FoundSplit(name, split, path, path if is_manifest else None, f"the {len(split)} utterances of {path.name}")


def _divide(place: Path, test: FoundSplit | None, texts: TextFiles, seed: int) -> tuple[FoundSplit, ...]:
    """Utterances at random, each in one part, in the order of their folder; without a test split a third is kept apart for it."""
    split, names = _load(place, texts)[0], SPLITS if test is None else SPLITS[:2]
    least = LEAST_UTTERANCES * len(names)
    if len(split) < least:
        raise BadInput(f"{place} is divided into {', '.join(names)}, which takes at least {least} utterances, got {len(split)}")
    order, found, begin = np.random.default_rng(seed).permutation(len(split)), [], 0
    for name in names:
        share = len(split) // len(names)
        count = min(share, MOST_UTTERANCES.get(name, share))
        end = len(split) if name == "test" else begin + count
        picked = tuple(split.utterances[index] for index in sorted(order[begin:end]))
        about = f"{len(picked)} of the {len(split)} utterances of {place.name}, drawn with seed {seed}"
        found.append(FoundSplit(name, Split(f"{name} of {place}", picked), place, None, about, divided=True))
        begin = end
    return (*found, *([test] if test else []))


def _from_recipe(data: Path, test: FoundSplit | None, texts: TextFiles, prefer: str | None, seed: int) -> FoundData:
    """The folders of a recipe by their usual names; the root of a recipe stands for its `dump/raw`, else its `data`."""
    for place in (data, data / "dump" / "raw", data / "data"):
        folders = {path.name: path for path in sorted(place.glob("*")) if (path / WAV_SCP).is_file()} if place.is_dir() else {}
        if folders:
            break
    else:
        raise BadInput(f"--data is a split ({WAV_SCP} or manifest.jsonl inside), a folder of splits or a recipe's data; {data} is none")
    developed = [name for name in folders if _DEV.fullmatch(name)]
    tested = [name for name in folders if _TEST.fullmatch(name) and name not in developed]
    dev = prefer if prefer in developed else _only(developed, folders, "the development split", "--data FOLDER/ONE")
    if test is None and tested:
        chosen = _only(tested, folders, "the test split", "--test FOLDER")
        test = _whole("test", folders[chosen], texts)
    rest = [name for name in folders if name not in (*developed, *tested)]
    return FoundData(_divide(folders[dev], test, texts, seed), folders[rest[0]] if len(rest) == 1 else None)


def _only(names: list[str], folders: Mapping[str, Path], what: str, option: str) -> str:
    """The one name, or the one that is a usual name by itself."""
    usual = [name for name in names if name in ("dev", "valid", "test")] if len(names) > 1 else names
    if len(usual) != 1:
        found = ", ".join(names) or f"none among {', '.join(folders)}"
        raise BadInput(f"{what} must be one folder with {WAV_SCP}, got {found}: name it by {option}")
    return usual[0]
