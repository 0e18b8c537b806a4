"""`paredown front` on the screen and in files: width, order, conditions, comma-separated values and pictures."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.report.front_rows import front_json
from paredown.search.spec import StudySpec
from paredown.search.study import Study
from paredown.search.trial import Candidate
from tests.commands.test_front import ROWS, write
from tests.search import toy

PNG = b"\x89PNG\r\n\x1a\n"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["front", *arguments]) == 0
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(printed(capsys, *arguments, "--json"))
    return found


def numbers(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    return [point["trial"] for point in listed(capsys, *arguments)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["front", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


@pytest.fixture
def knobbed(tmp_path: Path) -> str:
    """Four trials, all but the first with knobs: 6, 4 and 2 blocks, and zeros in one group."""
    spec: StudySpec = toy.toy_spec("knobbed")
    space = toy.make_space()
    with Study.open(tmp_path / "knobbed", spec, space, spec.objective_list, (), toy.IDENTITY) as study:
        running = study.storage.begin(toy.UNCOMPRESSED, space.knobs)
        study.storage.complete(running, toy.outcome(*ROWS[0]), ROWS[0], {}, 1.0)
        for blocks, share, row in ((6, 0.0, (-1.0, 68.0, 16e6)), (4, 0.3, (-4.0, 52.0, 10e6)), (2, 0.6, (-9.0, 36.0, 6e6))):
            knobs = {"layers.decoder": float(blocks), "sparsity.encoder.feed_forward": share, "sparsity.decoder.cross_attn": 0.0}
            running = study.storage.begin(Candidate("search", space.resolve(knobs), tuple(knobs.items())), space.knobs)
            study.storage.complete(running, toy.outcome(*row), row, {}, 1.0)
    return str(tmp_path / "knobbed")


@pytest.mark.parametrize("columns", [None, "80", "100"])
def test_no_line_is_wider_than_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    one, two = write(tmp_path, "a-study-with-a-long-name-that-says-much", ROWS), write(tmp_path, "two", ROWS)
    for arguments in ((one,), (one, "--all"), (one, two, "--all"), (one, "--budget", "size=1MB", "--budget", "quality=-0.5")):
        told = printed(capsys, *arguments)
        assert max(map(len, told.splitlines())) <= int(columns or 80), told
        assert "…" not in told
    words = printed(capsys, one, two, "--all").split()
    assert {"-3.50", "[-4.50,", "-2.50]", "59.0", "3.90"} <= set(words)


def test_it_is_sorted_as_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By quality 0 1 2 3, by latency 2 1 3 0, by size 2 1 3 0."""
    rows = [*ROWS[:3], (-9.0, 58.0, 17e6)]
    folder = write(tmp_path, "s", rows)
    assert numbers(capsys, folder, "--all") == [0, 1, 2, 3]
    assert numbers(capsys, folder, "--all", "--sort", "quality") == [0, 1, 2, 3]
    assert numbers(capsys, folder, "--all", "--sort", "latency") == [3, 2, 1, 0]
    assert numbers(capsys, folder, "--all", "--sort", "latency@cpu", "--reverse") == [0, 1, 2, 3]
    assert numbers(capsys, folder, "--all", "--sort", "size") == [2, 1, 0, 3]
    assert numbers(capsys, folder, "--all", "--sort=-size") == [3, 0, 1, 2]
    assert numbers(capsys, folder, "--all", "--sort=-size", "--reverse") == [2, 1, 0, 3]
    assert numbers(capsys, folder, "--all", "--sort", "trial", "--reverse") == [3, 2, 1, 0]
    table = printed(capsys, folder, "--all", "--sort", "size")
    assert [line.split()[0] for line in table.splitlines() if line[:1].isdigit() and " [" in line] == ["2", "1", "0", "3"]
    assert "sorted by one of quality, latency@cpu, size, trial, got 'energy'" in refused(capsys, folder, "--sort", "energy")


def test_conditions_choose_what_is_shown(knobbed: str, capsys: pytest.CaptureFixture[str]) -> None:
    every = (knobbed, "--all")
    assert numbers(capsys, *every) == [0, 1, 2, 3]
    assert numbers(capsys, *every, "--where", "size<=10MB") == [2, 3]
    assert numbers(capsys, *every, "--where", "size < 10 MB") == [3]
    assert numbers(capsys, *every, "--where", "size_bytes=10000000") == [2]
    assert numbers(capsys, *every, "--where", "latency@cpu>0.06s") == [0, 1]
    assert numbers(capsys, *every, "--where", "latency_ms@cpu<60") == [2, 3]
    assert numbers(capsys, *every, "--where", "quality>=-4", "--where", "layers.decoder!=6") == [2]
    assert numbers(capsys, *every, "--where", "layers.decoder=4") == [2]
    assert numbers(capsys, *every, "--where", "sparsity.encoder.feed_forward==0.6") == [3]
    assert numbers(capsys, *every, "--where", "trial<2") == [0, 1]
    told = printed(capsys, *every, "--where", "size<=10MB", "--where", "quality>-5")
    assert "1 of 4 shown: size<=10MB and quality>-5." in told
    assert "4 trials complete" in told  # the front is that of all


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("size", "a condition is written NAME, one of <= >= = != < >, LIMIT such as \"size<=8MB\", got 'size'"),
        ("size<=many", "the limit on size must be a number with a unit"),
        ("latency@cpu<80", "the limit on latency@cpu must have a unit"),
        ("layers.decoder=nan", "the limit on layers.decoder must be a finite number"),
        ("layers.decoders=4", "got 'layers.decoders'; did you mean layers.decoder?"),
        ("__import__('os').system('x')<1", "a condition is on one of"),
        ("bits.average<4", "a condition is on one of chrf, latency@cpu, layers.decoder, quality, size,"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(knobbed: str, condition: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, knobbed, "--where", condition)


def test_the_csv_has_the_figures_of_the_json(knobbed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, knobbed, "--all", "--budget", "size=8MB", "--csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    points = listed(capsys, knobbed, "--all", "--budget", "size=8MB")
    assert [int(row["trial"]) for row in rows] == [point["trial"] for point in points]
    for row, point in zip(rows, points, strict=True):
        assert {name: float(row[name]) for name in point["values"]} == point["values"]
        assert row["feasible"] == str(point["feasible"]).lower()
        assert row["beyond.size"] == ("" if point["feasible"] else repr(point["misses"]["size"]))
        assert float(row["quality_low"]) == point["values"]["quality"] - 1.0
        assert float(row["quality_high"]) == point["values"]["quality"] + 1.0
        assert row["size_bytes_low"] == ""
        assert row["latency_ms@cpu_provenance"] == "measured"
        assert row["study"] == "knobbed"
    assert [row["knob.layers.decoder"] for row in rows] == ["", "6.0", "4.0", "2.0"]
    file = tmp_path / "front.csv"
    beside = printed(capsys, knobbed, "--all", "--budget", "size=8MB", "--csv", str(file))
    assert file.read_bytes().decode() == text
    assert "front of knobbed" in beside
    assert text.splitlines(keepends=True)[0].endswith("\r\n")


def test_a_front_without_trials_has_a_heading_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, write(tmp_path, "s", []), "--csv", "-")
    assert text.splitlines() == ["study,trial,on_front,feasible,confirmed,indistinguishable,state,label,made_of,configuration"]


def test_who_imports_the_rows_gets_what_the_command_prints(knobbed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_json(Path(knobbed)) == listed(capsys, knobbed)
    assert front_json(Path(knobbed), ["size=8MB"], every=True) == listed(capsys, knobbed, "--budget", "size=8MB", "--all")
    assert front_json(Path(knobbed), ["size=1MB"]) == listed(capsys, knobbed, "--budget", "size=1MB")


def test_several_studies_in_one_csv_and_one_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write(tmp_path, "one", ROWS), write(tmp_path, "two", ROWS[:2])
    rows = list(csv.DictReader(io.StringIO(printed(capsys, one, two, "--all", "--csv"))))
    assert sorted((row["study"], row["trial"]) for row in rows) == [("one", str(n)) for n in range(4)] + [("two", "0"), ("two", "1")]
    printed(capsys, one, two, "--figure", str(tmp_path / "f.png"))
    assert (tmp_path / "f.png").read_bytes().startswith(PNG)


def test_the_picture_is_written_beside_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    folder = write(tmp_path, "s", ROWS)
    told = printed(capsys, folder, "--budget", "size=8MB", "--figure", str(tmp_path / "f.png"), "--x", "latency")
    assert "front of s" in told
    with Image.open(tmp_path / "f.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, 825)
    for suffix, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        printed(capsys, folder, "--figure", str(tmp_path / f"f.{suffix}"))
        assert (tmp_path / f"f.{suffix}").read_bytes().startswith(start)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.pdf", "f.png", "f.svg", "s"]


def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, "s", ROWS)
    assert "a figure ends in one of png, svg, pdf, got" in refused(capsys, folder, "--figure", str(tmp_path / "f.jpg"))
    assert "the folder of a figure must exist" in refused(capsys, folder, "--figure", str(tmp_path / "none" / "f.png"))
    assert "the folder of --csv must exist" in refused(capsys, folder, "--csv", str(tmp_path / "none" / "f.csv"))
    assert "as --json or as --csv, got both" in refused(capsys, folder, "--csv", str(tmp_path / "f.csv"), "--json")
    assert "--x and --y are the axes of --figure" in refused(capsys, folder, "--x", "size")
    figure = ("--figure", str(tmp_path / "f.png"))
    assert "the axes of the figure must differ, got size_bytes" in refused(capsys, folder, *figure, "--y", "size")
    assert "one of quality, latency_ms@cpu, size_bytes, got 'energy'" in refused(capsys, folder, *figure, "--x", "energy")
    assert "needs a complete trial" in refused(capsys, write(tmp_path, "empty", []), *figure)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "s"]


def test_trials_without_a_knob_meet_no_condition_on_it(knobbed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 not in numbers(capsys, knobbed, "--all", "--where", "layers.decoder!=4")
