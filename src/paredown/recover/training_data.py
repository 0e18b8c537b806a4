"""The splits that weights train on, and what is known of them before any audio is heard: digest, samples and rate of every file.

Reading some gigabytes for a digest takes a while, so what was found is kept in the user's cache, by texts, paths, sizes and times of
modification: a second process knows it in a moment, and a file that was touched is read again.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from paredown.data.split import Split
from paredown.errors import BadInput
from paredown.npz import write_npz
from paredown.space.training import Training
from paredown.user_cache import cache_folder

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class SplitFacts:
    """`digest`: that of the split; of its files, in the order of the utterances: `samples` and `rates_hz`, both [utterances]."""

    digest: str
    samples: NDArray[np.int64]
    rates_hz: NDArray[np.int64]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Length of every file, [utterances]."""
        return self.samples / self.rates_hz


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What may train: the model's own data, and out-of-domain data where there are some. Facts are found once, when first asked for."""

    train: Split
    other: Split | None = None

    @cached_property
    def train_facts(self) -> SplitFacts:
        return find_facts(self.train)

    @cached_property
    def other_facts(self) -> SplitFacts | None:
        return None if self.other is None else find_facts(self.other)

    @property
    def digest(self) -> str:
        """`Split.digest` of the model's own data: what a training stage names as its `data`."""
        return self.train_facts.digest

    @property
    def other_digest(self) -> str | None:
        """`Split.digest` of the out-of-domain data, None where there are none: a stage's `other_data`."""
        return None if self.other_facts is None else self.other_facts.digest

    def check_apart(self, split: Split) -> None:
        """Raises BadInput if a file of `split`, which something is chosen or judged by, is one that would train."""
        trained = {os.path.realpath(utterance.audio) for each in (self.train, self.other) if each for utterance in each.utterances}
        shared = [utterance.audio for utterance in split.utterances if os.path.realpath(utterance.audio) in trained]
        if shared:
            raise BadInput(f"training data must be apart from {split.name}, got {len(shared)} files of both, {shared[0]} among them")

    @property
    def digests(self) -> dict[str, str]:
        """Of the data that items of each origin are made from: what the teacher's posteriors are kept by."""
        return {"reference": self.digest, "distilled": self.digest, "other": self.other_digest or ""}

    def check(self, stage: Training) -> None:
        """Raises BadInput unless these are the data that the stage names."""
        if stage.data != self.digest:
            raise BadInput(f"a training stage names its data, {stage.data[:12]}; {self.train.name} is {self.digest[:12]}")
        if stage.other_data not in (None, self.other_digest):
            have = "none was given" if self.other is None else f"{self.other.name} is {str(self.other_digest)[:12]}"
            raise BadInput(f"a training stage names its out-of-domain data, {str(stage.other_data)[:12]}; {have}")


def find_facts(split: Split, folder: Path | None = None) -> SplitFacts:
    """Facts of a split, from `folder` (default: the user's cache) where its files are as they were. Raises BadInput for no audio.

    A cache that cannot be written is no error: what is found is found again the next time.
    """
    path = (cache_folder() if folder is None else folder) / "splits" / f"{_fingerprint(split)}.npz"
    found = _load(path, len(split))
    if found is None:
        found = measure_facts(split)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_npz(path, {"digest": np.array(found.digest), "samples": found.samples, "rates_hz": found.rates_hz})
        except OSError:
            pass
    return found


def measure_facts(split: Split) -> SplitFacts:
    """Facts of a split from the files themselves. Raises BadInput, naming the file, where one is no audio or holds none."""
    heads = [_read_head(utterance.audio) for utterance in split.utterances]
    samples, rates_hz = np.array(heads, np.int64).reshape(-1, 2).T
    return SplitFacts(split.digest, samples, rates_hz)


def _read_head(path: Path) -> tuple[int, int]:
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate_hz = int(file.frames), int(file.samplerate)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise BadInput(f"an audio file must be readable, got {path}: {str(error).splitlines()[0]}") from error
    if samples < 1:
        raise BadInput(f"audio must hold samples, got none: {path}")
    return samples, rate_hz


def _fingerprint(split: Split) -> str:
    """SHA-256 over texts, absolute paths, sizes and times of modification."""
    total = hashlib.sha256(str(_SCHEMA).encode())
    for utterance in split.utterances:
        status = utterance.audio.stat()
        row = [utterance.id, utterance.text, utterance.translation, str(utterance.audio.absolute()), status.st_size, status.st_mtime_ns]
        total.update(json.dumps(row).encode())
    return total.hexdigest()


def _load(path: Path, utterances: int) -> SplitFacts | None:
    """What was kept, None if there is nothing or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = SplitFacts(str(arrays["digest"]), arrays["samples"], arrays["rates_hz"])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    return found if len(found.samples) == len(found.rates_hz) == utterances else None
