"""The shipped splits are those of the partition: texts, voices, durations, total size."""

import json
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("soxr", reason="the recipe's resampler is not installed; the product does not need it")
from studies.bundled_model.partition import load_partition
from studies.bundled_model.splits import SHIPPED
from studies.bundled_model.utterance import LONGEST_S
from studies.bundled_model.voices import parse_voice

KEYS = ["id", "audio", "text", "translation", "voice", "held_out_voice", "duration_s"]
SPLITS = ("analysis", "search", "test")


def _rows(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SHIPPED / split / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def test_manifests_say_what_the_partition_says() -> None:
    held_out = load_partition().held_out
    for split in SPLITS:
        rows = _rows(split)
        assert all(list(row) == KEYS for row in rows)
        assert [row["text"] for row in rows] == [" ".join(s.english for s in utterance) for utterance in held_out[split]]
        assert [row["translation"] for row in rows] == [" ".join(s.germans[0] for s in utterance) for utterance in held_out[split]]


@pytest.mark.parametrize("split", SPLITS)
def test_about_half_of_the_utterances_are_by_voices_train_never_hears(split: str) -> None:
    rows = _rows(split)
    assert all(parse_voice(row["voice"]).held_out == row["held_out_voice"] for row in rows)
    assert 0.4 < float(np.mean([row["held_out_voice"] for row in rows])) < 0.6  # 100 coins: two standard deviations


@pytest.mark.parametrize("split", SPLITS)
def test_durations_are_true_and_keep_to_the_limits(split: str) -> None:
    rows = _rows(split)
    for row in rows:
        audio = soundfile.info(str(SHIPPED / split / row["audio"]))
        assert (audio.samplerate, audio.channels) == (16_000, 1)
        assert audio.duration == pytest.approx(row["duration_s"], abs=0.00051)  # printed to the millisecond
    durations_s = [row["duration_s"] for row in rows]
    assert max(durations_s) <= LONGEST_S
    assert float(np.mean(durations_s)) >= 2.5


def test_shipped_audio_is_at_most_30_mb() -> None:
    assert sum(file.stat().st_size for split in SPLITS for file in (SHIPPED / split).iterdir()) <= 30e6
