"""Facts of a split: right, found once, found again when a file changes; and stages that name other data are refused."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from paredown.data.split import Split, load_split
from paredown.errors import BadInput
from paredown.recover.training_data import TrainingData, find_facts, measure_facts
from paredown.space.training import Mixture, Training
from tests.recover.audio import RATE_HZ, write_split


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))


def test_facts_are_what_the_files_hold(tmp_path: Path) -> None:
    split = write_split(tmp_path, 3)
    soundfile.write(tmp_path / "1.wav", np.zeros(1200), 8_000)
    facts = find_facts(split)
    assert facts.digest == split.digest
    assert facts.samples.tolist() == [len(soundfile.read(utterance.audio)[0]) for utterance in split.utterances]
    assert facts.rates_hz.tolist() == [RATE_HZ, 8_000, RATE_HZ]
    assert facts.seconds[1] == 0.15


def test_a_second_process_reads_no_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = write_split(tmp_path)
    first = find_facts(split)

    def read(_: Split) -> None:
        raise AssertionError("the audio was read again")

    monkeypatch.setattr("paredown.recover.training_data.measure_facts", read)
    again = find_facts(load_split(tmp_path))
    assert (again.digest, again.samples.tolist(), again.rates_hz.tolist()) == (
        first.digest,
        first.samples.tolist(),
        first.rates_hz.tolist(),
    )


@pytest.mark.parametrize("change", ["audio", "time", "text"])
def test_what_was_touched_is_read_again(tmp_path: Path, change: str) -> None:
    split = write_split(tmp_path)
    before, file = find_facts(split), tmp_path / "2.wav"
    if change == "audio":
        samples, status = soundfile.read(file)[0], file.stat()
        soundfile.write(file, -samples, RATE_HZ)  # as many bytes
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif change == "time":
        os.utime(file)
    else:
        manifest = tmp_path / "manifest.jsonl"
        manifest.write_text(manifest.read_text().replace("Ab.", "Ac."))
    split = load_split(tmp_path)
    after = find_facts(split)
    assert after.digest == split.digest
    assert (after.digest == before.digest) == (change == "time")


def test_a_damaged_cache_is_measured_again(tmp_path: Path) -> None:
    split = write_split(tmp_path)
    digest = find_facts(split).digest
    (kept,) = (tmp_path / "cache" / "splits").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert find_facts(split).digest == digest


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "file"))
    split = write_split(tmp_path)
    assert find_facts(split).digest == measure_facts(split).digest


def test_what_is_no_audio_is_refused_by_name(tmp_path: Path) -> None:
    split = write_split(tmp_path)
    (tmp_path / "3.wav").write_bytes(b"RIFF")
    with pytest.raises(BadInput, match=r"an audio file must be readable, got .*3\.wav"):
        find_facts(split)


def test_a_stage_names_its_data(tmp_path: Path) -> None:
    train, other = write_split(tmp_path / "train"), write_split(tmp_path / "other", 3, seed=1)
    data = TrainingData(train, other)
    mixed = Training("fine-tune", data.digest, steps=1, mixture=Mixture(out_of_domain=1), other_data=data.other_digest)
    data.check(mixed)
    data.check(Training("fine-tune", data.digest, steps=1))
    with pytest.raises(BadInput, match=rf"names its data, aaaaaaaaaaaa; .* is {data.digest[:12]}"):
        data.check(Training("fine-tune", "a" * 64, steps=1))
    with pytest.raises(BadInput, match=r"names its out-of-domain data, .*; none was given"):
        TrainingData(train).check(mixed)


def test_what_something_is_judged_by_trains_nothing(tmp_path: Path) -> None:
    train, other, search = write_split(tmp_path / "train"), write_split(tmp_path / "other"), write_split(tmp_path / "search")
    data = TrainingData(train, other)
    data.check_apart(search)
    (tmp_path / "link").symlink_to(other.utterances[1].audio)
    linked = replace(search.utterances[0], audio=tmp_path / "link")
    with pytest.raises(BadInput, match=r"must be apart from search, got 1 files of both, .*link among them"):
        data.check_apart(Split("search", (linked, *search.utterances[1:])))
