"""Writes *train* as a split of utterances, which studies name as `data.train`: `python -m studies.bundled_model.train_split`.

Every segment of the synthesised corpus once, joined to utterances of one to four sentences and disturbed as for training the model;
`cache/train/manifest.jsonl` and 16-bit WAV files: 2.6 GB, about two minutes. Resumable: files that are there stay.
`cache/train-english/manifest.jsonl` names the same files, for the ASR sibling: its text is as that model spells it.
"""

import argparse
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from studies.bundled_model.batches import SEGMENTS_LATER, group_segments
from studies.bundled_model.shards import SegmentStore
from studies.bundled_model.splits import write_english, write_manifest
from studies.bundled_model.train import CACHE
from studies.bundled_model.utterance import RATE_HZ, disturb, join

TARGET = CACHE / "train"
SEED = 0


@dataclass(frozen=True)
class Line:
    """One line of the manifest; `translation` is one of each sentence's German lines at random."""

    id: str
    audio: str
    text: str
    translation: str


def make_utterance(store: SegmentStore, number: int, segments: tuple[int, ...], target: Path) -> Line:
    """Writes the audio of one utterance, which hangs on its number and segments alone, and gives its line."""
    rng = np.random.default_rng([SEED, 3, number])
    texts = [store.texts(index) for index in segments]
    german = " ".join(choices[int(rng.integers(len(choices)))] for _, choices in texts)
    name = f"train-{number:05d}"
    line = Line(name, f"{number // 1000:02d}/{name}.wav", " ".join(english for english, _ in texts), german)
    file = target / line.audio
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        soundfile.write(part, disturb(join([store.segment(index)[0] for index in segments], rng), rng), RATE_HZ, "PCM_16", format="WAV")
        os.replace(part, file)
    return line


def main() -> None:
    """Writes the split; the manifest comes last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=TARGET)
    target: Path = parser.parse_args().target
    store = SegmentStore(CACHE)
    durations_s = [store.duration_s(index) for index in range(len(store))]
    utterances = group_segments(durations_s, np.random.default_rng([SEED, 2]), SEGMENTS_LATER)
    lines = [make_utterance(store, number, segments, target) for number, segments in enumerate(utterances)]
    write_manifest(target, [asdict(line) for line in lines])
    write_english(target, target.with_name(f"{target.name}-english"))
    print(f"{len(lines)} utterances, {sum(durations_s) / 3600:.1f} h of speech")


if __name__ == "__main__":
    main()
