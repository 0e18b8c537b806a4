"""`translate` as a user types it: text, hypotheses, times, and files that cannot be translated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from paredown.cli import main
from paredown.runtime import Translator
from tests.runtime.toy_bundle import make_tensors, write_toy_bundle


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle and some audio, none of which needs torch."""
    folder = tmp_path_factory.mktemp("place")
    write_toy_bundle(folder / "bundle", make_tensors(seed=0, eos_bonus=2.0))
    for number, rate_hz in enumerate((16_000, 16_000, 48_000, 44_100)):
        waveform = np.random.default_rng(number).normal(0, 0.1, rate_hz // 2)
        soundfile.write(folder / f"{number}.wav", waveform, rate_hz)
    (folder / "broken.wav").write_bytes(b"RIFF but no sound")
    with soundfile.SoundFile(folder / "hour.flac", "w", 16_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(16_000 * 60, np.int16))
    return folder


def translate(place: Path, *arguments: str, files: tuple[str, ...] = ("0.wav", "1.wav")) -> int:
    return main(["translate", str(place / "bundle"), *(str(place / name) for name in files), *arguments])


def test_a_line_for_each_file_and_nothing_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err == ""


def test_hypotheses_come_with_rank_and_score(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--nbest", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(place / "0.wav")
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    scores = [float(line.split()[1]) for line in lines[1:4]]
    assert scores == sorted(scores, reverse=True)
    assert translate(place, "--nbest", "3", "--json", files=("0.wav",)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert [f"{each['score']:.3f}" for each in row["nbest"]] == [f"{score:.3f}" for score in scores]
    assert row["nbest"][0]["text"] == row["text"]


def test_json_has_the_stable_keys(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert {"file", "text", "tokens", "score", "seconds", "audio_seconds", "hit_cap", "timings_ms"} <= set(rows[0])
    assert set(rows[0]["timings_ms"]) == {"features", "encoder", "search", "total"}
    assert rows[0]["audio_seconds"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"maxlenratio": -2.0},
        {"minlenratio": -20.0, "maxlenratio": -30.0},
        {"length_bonus": 0.7, "maxlenratio": -5.0},
        {"beam_size": 2, "threads": 2, "maxlenratio": -5.0},
    ],
    ids=str,
)
def test_settings_reach_the_search(place: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    flags = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    assert translate(place, "--json", *flags, files=("0.wav",)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    expected = Translator.from_bundle(place / "bundle", **settings).translate(place / "0.wav")
    assert (row["text"], row["score"]) == (expected.text, expected.score)
    assert expected.score != Translator.from_bundle(place / "bundle").translate(place / "0.wav").score


def test_times_are_a_table_beside_the_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--timings") == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert all(
        word in captured.err for word in ("0.wav", "1.wav", "features ms", "encoder ms", "search ms", "times real time", "loaded in")
    )


def test_resampling_is_told_once_for_each_pair_of_rates(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, files=("2.wav", "3.wav", "2.wav", "0.wav")) == 0
    captured = capsys.readouterr()
    notes = [f"paredown: note: audio at {rate_hz} Hz is resampled to 16000 Hz" for rate_hz in (48_000, 44_100)]
    assert captured.err.splitlines() == notes
    assert len(captured.out.splitlines()) == 4


def test_a_file_that_cannot_be_translated_does_not_stop_the_others(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("0.wav", "broken.wav", "hour.flac", "missing.wav", "1.wav")
    assert translate(place, files=files) == 2
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    lines = captured.err.splitlines()
    assert len(lines) == 3
    for name, line in zip(files[1:4], lines, strict=True):
        assert line.startswith("paredown: ")
        assert name in line
    assert translate(place, "--json", files=files) == 2
    rows = json.loads(capsys.readouterr().out)
    assert ["error" in row for row in rows] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--greedy-ctc"], "needs a bundle with a CTC"),
        (["--ctc-weight", "0.3"], "needs a bundle with a CTC"),
        (["--ctc-weight", "2"], "must lie in [0, 1], got 2.0"),
        (["--greedy-ctc", "--nbest", "2"], "--greedy-ctc searches for nothing"),
        (["--greedy-ctc", "--beam-size", "2"], "--greedy-ctc searches for nothing"),
        (["--nbest", "0"], "at least 1, got '0'"),
        (["--maxlenratio", "nan"], "must be finite, got 'nan'"),
        (["--length-bonus", "inf"], "must be finite, got 'inf'"),
        (["--memory-limit", "1e308"], "--memory-limit must be at most 1e+09 GB, got 1e+308"),
        (["--length-bonus", "1e38"], "length_bonus must lie within 1000 of 0, got 1e+38"),
        (["--minlenratio", "1e308"], "minlenratio must lie within 1e+06 of 0"),
        (["--threads", "100000000000"], "threads must be a whole number in [1, "),
        (["--memory-limit", "0"], "memory limit must leave room"),
        (["--memory-limit", "-1"], "memory limit must leave room"),
    ],
)
def test_impossible_settings_are_one_line(place: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, *arguments) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert message in line
    assert captured.out == ""


def test_the_memory_limit_can_be_raised(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--memory-limit", "0.001") == 0
    capsys.readouterr()
    assert translate(place, "--memory-limit", "0.00005") == 2
    assert "to be decoded in 5e-05 GB (the memory limit), got 0.5 s" in capsys.readouterr().err


def test_a_search_that_finds_nothing_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--minlenratio", "-1000", files=("0.wav",)) == 0
    captured = capsys.readouterr()
    assert captured.err == f"paredown: note: no hypothesis reached the smallest length (--minlenratio -1000): {place / '0.wav'}\n"
    assert captured.out == "\n"


def test_no_times_are_no_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert translate(place, "--timings", files=("missing.wav",)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "missing.wav" in line
