"""Writes the shipped splits: `src/paredown/bundled/tatoeba-en-de/{analysis,search,test}/` with Opus audio and `manifest.jsonl`.

`python -m studies.bundled_model.splits`. Whole runs with equal seeds give equal manifests and samples; the Ogg files themselves
differ in their random stream serial number. FLAC does not fit: noise makes it about 75 MB for the hour, against 30 MB allowed.
"""

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from studies.bundled_model.engines import RATE_HZ, Samples, Speaker
from studies.bundled_model.partition import SEED, Sentence, load_partition
from studies.bundled_model.tokens import spoken_english
from studies.bundled_model.utterance import LONGEST_S, PAUSE_S, Waveform, disturb, join
from studies.bundled_model.voices import Voice, draw_held_out_voice, draw_seen_voice

SHIPPED = Path(__file__).parents[2] / "src" / "paredown" / "bundled" / "tatoeba-en-de"
MANIFEST = "manifest.jsonl"
HELD_OUT_VOICE_CHANCE = 0.5
_OPUS_LEVEL = 0.86  # libsndfile maps 1..0 to 6..256 kbit/s: about 41 kbit/s, transparent for 16 kHz speech
_HURRY = 1.08


@dataclass(frozen=True)
class Line:
    """One line of a manifest; `audio` is relative to it, `text` English, `translation` German, one reference a sentence."""

    id: str
    audio: str
    text: str
    translation: str
    voice: str
    held_out_voice: bool
    duration_s: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A voice for a held-out utterance: half of them train has never heard."""
    return draw_held_out_voice(rng) if rng.random() < HELD_OUT_VOICE_CHANCE else draw_seen_voice(rng)


def speak(sentences: Sequence[Sentence], voice: Voice, speaker: Speaker) -> tuple[list[Samples], Voice]:
    """One waveform a sentence, and the voice used: faster than asked if with the longest pauses `LONGEST_S` would be exceeded."""
    while True:
        waveforms = [speaker.say(sentence.english, voice) for sentence in sentences]
        silent = [sentence.english for sentence, waveform in zip(sentences, waveforms, strict=True) if not len(waveform)]
        if silent:
            raise ValueError(f"every held-out sentence must be audible, got silence for {silent} by {voice}")
        if sum(map(len, waveforms)) / RATE_HZ + PAUSE_S[1] * (len(sentences) - 1) <= LONGEST_S:
            return waveforms, voice
        voice = replace(voice, rate=round(voice.rate * _HURRY, 2))


def make_utterance(name: str, sentences: Sequence[Sentence], speaker: Speaker, rng: np.random.Generator) -> tuple[Line, Waveform]:
    """The manifest line and the disturbed waveform [samples] of one utterance, all sentences by one voice."""
    waveforms, voice = speak(sentences, draw_voice(rng), speaker)
    heard = disturb(join(waveforms, rng), rng)
    text = " ".join(sentence.english for sentence in sentences)
    german = " ".join(sentence.germans[0] for sentence in sentences)
    return Line(name, f"{name}.opus", text, german, str(voice), voice.held_out, round(len(heard) / RATE_HZ, 3)), heard


def write_split(split: str, utterances: Sequence[Sequence[Sentence]], target: Path, seed: tuple[int, ...]) -> None:
    """Writes one split into a folder of its own, which replaces `target/split` when complete; each utterance has its own generator."""
    part, final, speaker = target / f"{split}.part", target / split, Speaker()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    lines: list[Line] = []
    for number, sentences in enumerate(utterances):
        line, heard = make_utterance(f"{split}-{number:04d}", sentences, speaker, np.random.default_rng([*seed, number]))
        soundfile.write(part / line.audio, heard, RATE_HZ, format="OGG", subtype="OPUS", compression_level=_OPUS_LEVEL)
        lines.append(line)
    write_manifest(part, [asdict(line) for line in lines])
    shutil.rmtree(final, ignore_errors=True)
    os.replace(part, final)
    durations_s = [line.duration_s for line in lines]
    size_mb = sum(file.stat().st_size for file in final.iterdir()) / 1e6
    unheard = sum(line.held_out_voice for line in lines)
    print(f"{split}: {len(lines)} utterances, {unheard} by held-out voices, {sum(durations_s) / 60:.1f} min, ", end="")
    print(f"mean {np.mean(durations_s):.2f} s, longest {max(durations_s):.2f} s, {size_mb:.1f} MB", flush=True)


def write_manifest(folder: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """`manifest.jsonl`, there in full or not at all."""
    part = folder / f"{MANIFEST}.part"
    part.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    os.replace(part, folder / MANIFEST)


def write_english(source: Path, target: Path) -> None:
    """The split `source` for the ASR sibling: the same audio files, text in lower case without punctuation, as the model spells it."""
    lines = [json.loads(line) for line in (source / MANIFEST).read_text(encoding="utf-8").splitlines()]
    way = Path(os.path.relpath(source, target))
    target.mkdir(parents=True, exist_ok=True)
    write_manifest(target, [{"id": line["id"], "audio": str(way / line["audio"]), "text": spoken_english(line["text"])} for line in lines])


def main() -> None:
    """Writes all three splits, and those of the ASR sibling beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=SHIPPED)
    parser.add_argument("--english", action="store_true", help="only those of the ASR sibling")
    options = parser.parse_args()
    for index, (split, utterances) in enumerate(load_partition().held_out.items()):
        if not options.english:
            write_split(split, utterances, options.target, (SEED, 2, index))
        write_english(options.target / split, options.target.with_name("tatoeba-en") / split)


if __name__ == "__main__":
    main()
