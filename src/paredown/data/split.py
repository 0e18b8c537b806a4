"""A split: utterances in a fixed order, each with its audio file and one reference.

Three forms are read: a JSONL manifest, a TSV manifest with a header line (keys `id`, `audio`, `text`, `translation`; audio
paths relative to the manifest), and a Kaldi-style folder as ESPnet dumps it (see `paredown.data.kaldi`). In all of them audio
is a file, or `ARCHIVE.ark:OFFSET` (see `paredown.data.archive`).
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paredown.data.archive import copy_out, split_reference
from paredown.data.kaldi import WAV_SCP, TextFiles, kaldi_rows
from paredown.data.lines import read_lines
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


def load_split(path: str | Path, *, labelled: bool = True, texts: TextFiles | None = None) -> Split:
    """The split that a manifest or folder describes; with `labelled` False, utterances may have neither text nor translation.

    `texts`: which files of a Kaldi-style folder hold what is said and its translation, where a model's config tells.

    Raises BadInput, naming file and line, if it cannot be read, a line lacks a key, an id comes twice or an audio file is missing.
    """
    path = Path(path)
    if path.is_dir():
        manifest = path / "manifest.jsonl"
        rows, source = (_jsonl_rows(manifest), manifest) if manifest.exists() else (kaldi_rows(path, texts), path / WAV_SCP)
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
        identity = str(row["id"])
        if identity in seen:
            raise BadInput(f"{where}: ids must be distinct, {identity} comes twice")
        seen.add(identity)
        yield Utterance(identity, _audio(source.parent, str(row["audio"]), where), row.get("text") or None, row.get("translation") or None)


def _audio(start: Path, written: str, where: str) -> Path:
    """The audio file, copied out of its archive where it lies in one."""
    reference = split_reference(written)
    file = start / (written if reference is None else reference[0])
    if reference is not None and file.is_file():
        return copy_out(file, reference[1])
    file = start / written
    if not file.is_file():
        raise BadInput(f"{where}: the audio file {file} does not exist")
    return file


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInput(f"{path}, line {number}: not JSON ({error.msg})") from None
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: a line must be a JSON object, got {type(row).__name__}")
            yield number, row


def _tsv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    reader = csv.DictReader(read_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in reader:
        yield reader.line_num, row
