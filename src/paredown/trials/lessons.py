"""What another machine needs to train a configuration, laid out in folders that travel, and what it does with it."""

import json
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.training import Training
from paredown.trials.recoveries import Recovery, Work, recover, take_in

if TYPE_CHECKING:
    from paredown.data import Split
    from paredown.models import Model
    from paredown.recover.training_data import TrainingData


@dataclass(frozen=True)
class Lesson:
    """A configuration to train; every path travels along.

    `model`: whose weights are trained; `teacher`: the uncompressed model; `data`: splits `train` and, where there is one, `other`;
    `starts`: recoveries to go on from, by digest; `threads`: of torch.
    """

    model: Path
    teacher: Path
    data: Path
    configuration: str
    starts: tuple[tuple[str, Path], ...]
    threads: int


@dataclass
class Lessons:
    """Lays lessons out in a folder of its own, model and data once; a context manager, threads may share it.

    `threads`: of torch; `laid`: told of each folder that several lessons share.
    """

    threads: int
    laid: Callable[[Path], None]
    _folder: "tempfile.TemporaryDirectory[str]" = field(default_factory=lambda: tempfile.TemporaryDirectory(prefix="paredown-lessons-"))
    _shared: dict[str, Path] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def make(self, work: Work) -> Lesson:
        """What of it is shared with other lessons is laid out once. Raises BadInput where audio cannot be read."""
        data = work.data
        splits = {"train": data.train} | ({} if data.other is None else {"other": data.other})
        return Lesson(
            model=self._share(work.model.digest, lambda folder: lay_model(work.model, folder)),
            teacher=self._share(work.teacher.digest, lambda folder: lay_model(work.teacher, folder)),
            data=self._share(f"{data.digest}-{data.other_digest}", lambda folder: lay_splits(splits, folder)),
            configuration=work.configuration.to_json(),
            starts=tuple(work.starts.items()),
            threads=self.threads,
        )

    def _share(self, digest: str, lay: Callable[[Path], None]) -> Path:
        with self._lock:
            if digest not in self._shared:
                folder = Path(self._folder.name) / str(len(self._shared))
                folder.mkdir()
                lay(folder)
                self.laid(folder)
                self._shared[digest] = folder
            return self._shared[digest]


def lay_model(model: "Model", folder: Path) -> None:
    """Links to the files that loading the model reads, and to no other checkpoint that lies beside them."""
    for name, file in model.files.items():
        (folder / name).symlink_to(file.absolute())


def lay_splits(splits: Mapping[str, "Split"], folder: Path) -> None:
    """A manifest and links to the audio of each split, in a folder of its name; their digests are those of the splits."""
    for name, split in splits.items():
        part = folder / name
        part.mkdir()
        rows = []
        for number, utterance in enumerate(split.utterances):
            audio = f"{number:07d}{utterance.audio.suffix}"
            (part / audio).symlink_to(utterance.audio.absolute())
            rows.append({"id": utterance.id, "audio": audio, "text": utterance.text, "translation": utterance.translation})
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (part / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")


class Silent:
    """Nobody watches another machine."""

    def line(self, text: str) -> None:
        return None

    def progress(self, what: str, done: int, total: int) -> None:
        return None


def learn(lesson: Lesson) -> None:
    """Trains what is not in the cache of this machine yet. Raises BadInput as `recover` does, and where this machine cannot train."""
    _prepare(lesson.threads)
    from paredown.models import load_model

    for digest, folder in lesson.starts:
        take_in(digest, folder)
    model, teacher = load_model(lesson.model), load_model(lesson.teacher)
    recover(model, Configuration.from_json(lesson.configuration), Recovery(_open(lesson.data), Silent()), teacher)


def hear(lesson: Lesson, stage: Training) -> None:
    """Has the teacher say what a stage learns from it, into the cache of this machine. Raises BadInput as `learn`."""
    _prepare(lesson.threads)
    from paredown.models import load_model
    from paredown.trials.training_batches import batches_of

    batches_of(load_model(lesson.teacher), Configuration.from_json(lesson.configuration).input, stage, _open(lesson.data), Silent())


def _prepare(threads: int) -> None:
    try:
        import espnet2  # noqa: F401
        import torch
    except ImportError as error:
        lacking = f"{platform.node()} lacks {error.name}"
        raise BadInput(f"a node that trains needs the extra [models] and espnet (see paredown doctor): {lacking}") from None
    torch.set_num_threads(threads)


def _open(folder: Path) -> "TrainingData":
    from paredown.data import load_split
    from paredown.recover.training_data import TrainingData

    other = folder / "other"
    return TrainingData(load_split(folder / "train", labelled=False), load_split(other, labelled=False) if other.is_dir() else None)
