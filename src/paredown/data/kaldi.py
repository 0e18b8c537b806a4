"""Kaldi-style folders, as ESPnet's recipes hold them: `wav.scp`, `text`, `text.<case>.<lang>`.

Audio paths start at the folder, at the root of the recipe or, last, at the working folder. Nothing is run: a `wav.scp` whose lines are
commands is refused, and so is one that `segments` cuts, since stage 3 of the recipe makes files of both under `dump/raw`.

Which text is the translation follows from, in this order: the names that the model was trained with (`TextFiles`), the languages in the
name of the folder (`dev.en-de`), and the one `text.<lang>` that is not a copy of `text`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paredown.data.archive import split_reference
from paredown.data.lines import read_lines
from paredown.data.recipe import recipe_root
from paredown.errors import BadInput

WAV_SCP = "wav.scp"
_LANGUAGES = re.compile(r"[._]([a-z]{2,3})-([a-z]{2,3})(?=$|[._])")
_CASES = ("tc", "lc", "lc.rm")  # true case, lower case, lower case without punctuation: from the most that is said to the least


@dataclass(frozen=True)
class TextFiles:
    """Names of the files that hold what is said and its translation; None where the model's config names none."""

    text: str | None = None
    translation: str | None = None


def kaldi_rows(folder: Path, named: TextFiles | None = None) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    """A row for every line of `wav.scp`. Raises BadInput for commands, segments, an id that comes twice and an open choice of texts."""
    if (folder / "segments").exists():
        raise BadInput(f"{folder / 'segments'} cuts longer recordings, which is not done here; give {_dumped(folder)}")
    root = recipe_root(folder)
    texts, translations = _texts(folder, named or TextFiles())
    for number, (identity, written) in enumerate(_table(folder / WAV_SCP).items(), 1):
        audio = written.rstrip()
        if audio.endswith("|"):
            where = f"{folder / WAV_SCP}, line {number}"
            raise BadInput(f"{where}: commands are not run; give a file instead of {audio!r}, or {_dumped(folder)}")
        yield (
            number,
            {
                "id": identity,
                "audio": _locate(audio, folder, root),
                "text": texts.get(identity),
                "translation": translations.get(identity),
            },
        )


def _dumped(folder: Path) -> str:
    """Where stage 3 of the recipe writes the same utterances as files."""
    root = recipe_root(folder)
    dumped = None if root is None else root / "dump" / "raw" / folder.name
    there = dumped is not None and (dumped / WAV_SCP).is_file() and dumped.resolve() != folder.resolve()
    return f"{dumped}" if there else f"what stage 3 of the recipe writes, dump/raw/{folder.name}"


def _locate(audio: str, folder: Path, root: Path | None) -> str:
    """The path as `load_split` takes it: as it stands where it starts at the folder, else absolute."""
    reference = split_reference(audio)
    name, offset = (audio, "") if reference is None else (reference[0], f":{reference[1]}")
    if not (folder / name).is_file():
        around = folder.absolute().parents if root is None else (root,)  # a dump may have been copied without its recipe
        for start in (*around, Path.cwd()):
            if (start / name).is_file():
                return f"{start / name}{offset}"
    return audio


def _texts(folder: Path, named: TextFiles) -> tuple[dict[str, str], dict[str, str]]:
    """What is said and its translation, by utterance; empty where there is none."""
    if named.translation and (folder / named.translation).is_file():
        said = folder / named.text if named.text and (folder / named.text).is_file() else None
        return {} if said is None else _table(said), _table(folder / named.translation)
    if named.text and not named.translation and (folder / named.text).is_file():
        return _table(folder / named.text), {}
    languages = _LANGUAGES.search(folder.name)
    if languages:
        source, target = _of_language(folder, languages[1]), _of_language(folder, languages[2])
        if target is not None:
            translations = _table(target)
            texts = _table(source or folder / "text", required=False)
            return {} if texts == translations else texts, translations
    return _table(folder / "text", required=False), _only_translation(folder)


def _of_language(folder: Path, language: str) -> Path | None:
    """The `text.<case>.<language>` that keeps most of how it is written, else `text.<language>`."""
    candidates = [folder / f"text.{case}.{language}" for case in _CASES] + [folder / f"text.{language}"]
    return next((path for path in candidates if path.is_file()), None)


def _only_translation(folder: Path) -> dict[str, str]:
    """The lines of the one `text.<lang>` that is not a copy of `text`."""
    source = _table(folder / "text", required=False)
    candidates = [table for path in sorted(folder.glob("text.*")) if (table := _table(path)) != source]
    if len(candidates) > 1:
        names = ", ".join(path.name for path in sorted(folder.glob("text.*")))
        raise BadInput(
            f"{folder} must hold one translation, it holds {names}: `paredown init MODEL --data {folder}` reads in the model's config "
            "which is which and writes manifests"
        )
    return candidates[0] if candidates else {}


def _table(path: Path, *, required: bool = True) -> dict[str, str]:
    """Lines by their first word. Raises BadInput where an id comes twice."""
    if not required and not path.exists():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.split(maxsplit=1)
        if words:
            identity = words[0]
            if identity in found:
                raise BadInput(f"{path}, line {number}: ids must be distinct, {identity} comes twice")
            found[identity] = words[1].rstrip("\r") if len(words) > 1 else ""
    return found
