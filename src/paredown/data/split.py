"""A split: utterances in a fixed order, each with its audio file and one reference.

Three forms are read: a JSONL manifest, a TSV manifest with a header line (keys `id`, `audio`, `text`, `translation`; audio
paths relative to the manifest), and a Kaldi-style folder as ESPnet dumps it (`wav.scp`, `text`, `text.<lang>`; audio paths
relative to the folder or, as ESPnet writes them, to the working folder).
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paredown.errors import BadInput


@dataclass(frozen=True)
class Utterance:
    """One recording: `text` is what is said, `translation` its translation; at least one of them is there, unless it is unlabelled."""

    id: str
    audio: Path
    text: str | None
    translation: str | None

    def reference(self, task: str) -> str:
        """The line a hypothesis is scored against: the translation (task "st") or the text ("asr"). Raises BadInput where it is missing."""
        line = self.translation if task == "st" else self.text
        if line is None:
            wanted = "translation" if task == "st" else "text"
            raise BadInput(f"utterance {self.id} has no {wanted}, which scoring a model of task {task!r} needs")
        return line


@dataclass(frozen=True)
class Split:
    """Utterances in the order of their manifest. `name` is what the user called it."""

    name: str
    utterances: tuple[Utterance, ...]

    def __len__(self) -> int:
        return len(self.utterances)

    def first(self, count: int) -> "Split":
        """The first `count` utterances (all of them, if there are fewer)."""
        return Split(self.name, self.utterances[:count])

    def references(self, task: str) -> tuple[str, ...]:
        return tuple(utterance.reference(task) for utterance in self.utterances)

    def has_references(self, task: str) -> bool:
        """Whether every utterance has the line that a hypothesis is scored against."""
        return all((utterance.translation if task == "st" else utterance.text) is not None for utterance in self.utterances)

    @property
    def digest(self) -> str:
        """SHA-256 over ids, references and the bytes of the audio files, in hex."""
        total = hashlib.sha256()
        for utterance in self.utterances:
            total.update(json.dumps([utterance.id, utterance.text, utterance.translation], ensure_ascii=False).encode())
            total.update(hashlib.sha256(utterance.audio.read_bytes()).digest())
        return total.hexdigest()


def load_split(path: str | Path, *, labelled: bool = True) -> Split:
    """The split that a manifest or folder describes; with `labelled` False, utterances may have neither text nor translation.

    Raises BadInput, naming file and line, if it cannot be read, a line lacks a key, an id comes twice or an audio file is missing.
    """
    path = Path(path)
    if path.is_dir():
        manifest = path / "manifest.jsonl"
        rows, source = (_jsonl_rows(manifest), manifest) if manifest.exists() else (_kaldi_rows(path), path / "wav.scp")
    elif path.suffix in (".jsonl", ".tsv"):
        rows, source = (_jsonl_rows if path.suffix == ".jsonl" else _tsv_rows)(path), path
    else:
        missing = "" if path.exists() else ", which does not exist"
        raise BadInput(f"data is a Kaldi-style folder, a .jsonl or a .tsv manifest; got {path}{missing}")
    utterances = tuple(_checked(rows, source, labelled))
    if not utterances:
        raise BadInput(f"a split needs at least one utterance; {source} has none")
    return Split(str(path), utterances)


def _checked(rows: Iterable[tuple[int, Mapping[str, str | None]]], source: Path, labelled: bool) -> Iterator[Utterance]:
    seen: set[str] = set()
    for number, row in rows:
        where = f"{source}, line {number}"
        for key in ("id", "audio"):
            if not row.get(key):
                raise BadInput(f"{where}: every utterance needs the key {key!r}")
        if labelled and not row.get("text") and not row.get("translation"):
            raise BadInput(f"{where}: every utterance needs a text or a translation; {row['id']} has neither")
        for key in ("id", "audio", "text", "translation"):
            if not isinstance(row.get(key), str | None):
                raise BadInput(f"{where}: {key!r} must be a string, got {row[key]!r}")
        identity, audio = str(row["id"]), source.parent / str(row["audio"])
        if identity in seen:
            raise BadInput(f"{where}: ids must be distinct, {identity} comes twice")
        if not audio.is_file():
            raise BadInput(f"{where}: the audio file {audio} does not exist")
        seen.add(identity)
        yield Utterance(identity, audio, row.get("text") or None, row.get("translation") or None)


def _lines(path: Path) -> list[str]:
    """Lines end where files end them; U+2028 and its like, which `splitlines` also takes for ends, stay inside."""
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} must be UTF-8 text") from None


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInput(f"{path}, line {number}: not JSON ({error.msg})") from None
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: a line must be a JSON object, got {type(row).__name__}")
            yield number, row


def _tsv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    reader = csv.DictReader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in reader:
        yield reader.line_num, row


def _kaldi_rows(folder: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    texts = _kaldi_table(folder / "text")
    translations = _translations(folder)
    for number, (identity, audio) in enumerate(_kaldi_table(folder / "wav.scp", required=True).items(), 1):
        if audio.endswith("|"):
            raise BadInput(f"{folder / 'wav.scp'}, line {number}: commands are not run; give a file instead of {audio!r}")
        if not (folder / audio).is_file() and Path(audio).is_file():  # ESPnet dumps name files from the recipe's root
            audio = str(Path(audio).absolute())
        yield number, {"id": identity, "audio": audio, "text": texts.get(identity), "translation": translations.get(identity)}


def _translations(folder: Path) -> dict[str, str]:
    """The lines of the one `text.<lang>` that is not a copy of `text` (ESPnet's ST recipes keep source and target side by side)."""
    source = _kaldi_table(folder / "text")
    candidates = [table for path in sorted(folder.glob("text.*")) if (table := _kaldi_table(path)) != source]
    if len(candidates) > 1:
        names = ", ".join(path.name for path in sorted(folder.glob("text.*")))
        raise BadInput(f"{folder} must hold one translation, it holds {names}")
    return candidates[0] if candidates else {}


def _kaldi_table(path: Path, *, required: bool = False) -> dict[str, str]:
    if not required and not path.exists():
        return {}
    pairs = (line.split(maxsplit=1) for line in _lines(path) if line.strip())
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
