"""`paredown show` on a toy study: one trial, two beside each other, as table, JSON, comma-separated values and picture."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.profilers.measurement import Measurement
from paredown.search.outcome import Outcome
from paredown.search.spec import StudySpec
from paredown.search.study import Study
from paredown.search.trial import Candidate
from paredown.space.configuration import Configuration
from tests.search import toy

PATHS = tuple(f"decoder.decoders.{block}.feed_forward.{name}" for block in range(6) for name in ("w_1", "w_2"))
FOUR = Configuration(bits=tuple((path, 4) for path in PATHS), sparsity=(("decoder.feed_forward", 0.2),))
MIXED = Configuration(bits=tuple((path, 3 if path.endswith("w_2") else 4) for path in PATHS if ".decoders.1." not in path),
                      sparsity=(("decoder.feed_forward", 0.5),), keep=(("decoder", (0, 2, 3, 4, 5)),))  # fmt: skip
GUESSED = Measurement(40.0, "ms", (35.0, 46.0), provenance="estimated")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Trial 0 is uncompressed, 1 has four bits, 2 is mixed with its latency estimated, 3 was stopped."""
    spec: StudySpec = toy.toy_spec("shown")
    with Study.open(tmp_path / "shown", spec, toy.make_space(), spec.objective_list, (), toy.IDENTITY) as study:
        figures = ((0.0, 100.0, 43.4e6), (-0.5, 60.0, 6.1e6), (-1.5, 40.0, 4.6e6))
        candidates = (toy.UNCOMPRESSED, Candidate("search", FOUR), Candidate("search", MIXED))
        for candidate, row in zip(candidates, figures, strict=True):
            outcome = toy.outcome(*row)
            if candidate.configuration == MIXED:
                outcome = Outcome(tuple((outcome.measurement_of | {"latency_ms@cpu": GUESSED}).items()))
            running = study.storage.begin(candidate, study.space.knobs)
            study.storage.complete(running, outcome, row, {}, 1.0)
        running = study.storage.begin(Candidate("search", Configuration(bits=((PATHS[0], 2),))), study.space.knobs)
        study.storage.stop(running, Outcome(toy.outcome(0.0, 1.0, 3e6).measurements[-1:]), "over budget", 0.1)
    return str(tmp_path / "shown")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["show", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["show", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


def rows(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_one_trial_fits_the_page(folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for number in "0123":
        told = printed(capsys, folder, "--trial", number)
        assert max(map(len, told.splitlines())) <= 80, told
    told = printed(capsys, folder, "--trial", "2")
    assert "ESTIMATED" in told
    assert "35.0 to 46.0" in told
    assert "0, 2, 3, 4, 5" in told
    assert "  feed_forward.w_2  3  -  3  3  3  3" in told
    assert "ESTIMATED" not in printed(capsys, folder, "--trial", "1")
    stopped = printed(capsys, folder, "--trial", "3")
    assert "stopped, over budget" in stopped
    assert "measured before it was stopped" in stopped


def test_two_trials_side_by_side(folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    told = printed(capsys, folder, "--trial", "1", "--diff", "2")
    assert max(map(len, told.splitlines())) <= 80, told
    lines = {line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:-1]] for line in told.splitlines() if "│" in line}
    assert lines["size MB"] == ["6.10", "4.60", "x 0.754"]
    assert lines["quality chrF"] == ["-0.50 [-1.50, 0.50]", "-1.50 [-2.50, -0.50]", "-1.000"]
    assert lines["decoder.feed_forward: zeros"] == ["20%", "50%"]
    assert lines["decoder blocks kept"] == ["as it is", "0, 2, 3, 4, 5"]
    assert "decoding" not in lines  # the same in both
    assert "ESTIMATED" in " ".join(lines["latency@cpu ms"])
    assert "  feed_forward.w_1   . 4>-   .   .   .   ." in told
    assert "  feed_forward.w_2 4>3 4>- 4>3 4>3 4>3 4>3" in told


def test_the_differences_as_json_and_as_csv(folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = json.loads(printed(capsys, folder, "--trial", "1", "--diff", "2", "--json"))
    alone = [json.loads(printed(capsys, folder, "--trial", number, "--json")) for number in "12"]
    assert found["trials"] == alone
    assert {"part": "decoder.feed_forward: zeros", "trial": "20%", "diff": "50%"} in found["differs"]
    values = rows(printed(capsys, folder, "--trial", "1", "--diff", "2", "--csv"))
    assert [row["trial"] for row in values] == ["1", "2"]
    for row, one in zip(values, alone, strict=True):
        for name, figure in one["measurements"].items():
            assert float(row[name]) == figure["value"]
            assert row[f"{name}_provenance"] == figure["provenance"]
    assert [float(row["latency_ms@cpu_low"] or "nan") for row in values][1] == 35.0
    beside = printed(capsys, folder, "--trial", "3", "--csv", str(tmp_path / "t.csv"))
    assert "measured before it was stopped" in beside
    (stopped,) = rows((tmp_path / "t.csv").read_bytes().decode())
    assert stopped["state"] == "stopped"
    assert float(stopped["size_bytes"]) == 3e6


def test_the_layers_as_a_picture(folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    printed(capsys, folder, "--trial", "2", "--figure", str(tmp_path / "bits.png"))
    with Image.open(tmp_path / "bits.png") as image:
        assert image.format == "PNG"
        assert image.width == 960
    assert "needs quantized layers" in refused(capsys, folder, "--trial", "0", "--figure", str(tmp_path / "none.png"))
    assert not (tmp_path / "none.png").exists()


def test_what_makes_no_sense_is_refused(folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "the study has the trials 0 to 3, got 9" in refused(capsys, folder, "--trial", "1", "--diff", "9")
    assert "--trial and --diff are both 1" in refused(capsys, folder, "--trial", "1", "--diff", "1")
    assert "not allowed with argument" in refused(capsys, folder, "--trial", "1", "--diff", "2", "--ablate")
    assert "got both" in refused(capsys, folder, "--trial", "1", "--csv", "--json")
    figure = ("--figure", str(tmp_path / "f.png"))
    assert "the layers of one trial, got it with --diff" in refused(capsys, folder, "--trial", "1", "--diff", "2", *figure)
    assert "a figure ends in one of png, svg, pdf" in refused(capsys, folder, "--trial", "1", "--figure", "f.bmp")
    assert "measured of a complete trial, trial 3 is stopped" in refused(capsys, folder, "--trial", "3", "--ablate")
