"""`paredown compare`: two bundles of a tiny model, and files whose figures are known."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.quality import non_inferiority, paired_bootstrap, score
from tests.commands.tiny import write_model, write_split

UTTERANCES = 12
REFERENCE = "a b c d"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split, two bundles, and files: `good` is the reference itself, `worse` has the first utterance wrong, `bad` all."""
    folder = tmp_path_factory.mktemp("place")
    write_model(folder / "model")
    write_split(folder / "data", UTTERANCES)
    for bits in ("8", "2"):
        assert main(["convert", str(folder / "model"), "--bits", bits, "-o", str(folder / bits)]) == 0
    for name, lines in (
        ("good", [REFERENCE] * UTTERANCES),
        ("worse", ["x y", *[REFERENCE] * (UTTERANCES - 1)]),
        ("bad", ["q"] * UTTERANCES),
    ):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def compared(place: Path, a: str, b: str, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    capsys.readouterr()
    assert main(["compare", str(place / a), str(place / b), "--data", str(place / "data"), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def refused(place: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["compare", *arguments, "--data", str(place / "data")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    return captured.err


def test_bundles_are_decoded_timed_and_tested(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = compared(place, "2", "8", capsys, "--workers", "1")
    assert figures["metric"] == "chrf"
    assert figures["utterances"] == UTTERANCES
    assert figures["effect"]["value"] == pytest.approx(figures["values"]["a"] - figures["values"]["b"])
    assert [test["test"] for test in figures["tests"]] == ["paired bootstrap", "paired approximate randomization"]
    assert figures["non_inferiority"]["margin"] == 1.0
    assert figures["latency_ms"]["a"]["median"] > 0
    assert figures["latency_ms"]["b"]["runs"] == figures["latency_ms"]["a"]["runs"]


def test_figures_are_those_of_the_tests(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {name: (place / f"{name}.txt").read_text().splitlines() for name in ("good", "worse")}
    references = [REFERENCE] * UTTERANCES
    figures = compared(place, "worse.txt", "good.txt", capsys, "--task", "st", "--metric", "bleu", "--seed", "3", "--margin", "20")
    expected = paired_bootstrap("bleu", lines["worse"], lines["good"], references, seed=3)
    assert figures["effect"] == {"value": expected.effect, "ci95": list(expected.ci95)}
    judged = non_inferiority("bleu", lines["worse"], lines["good"], references, margin=20, seed=3)
    assert figures["non_inferiority"]["upper95"] == judged.upper95
    assert figures["latency_ms"] is None
    # the one utterance that changed is worth all of the effect
    assert [(row["id"], row["a"], row["b"]) for row in figures["changed"]] == [("u0", "x y", REFERENCE)]
    assert figures["changed"][0]["change"] == pytest.approx(expected.effect)


def test_word_errors_are_tested_by_mapsswe_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = compared(place, "bad.txt", "good.txt", capsys, "--task", "st", "--metric", "wer")
    assert figures["dagger"]["test"] == "MAPSSWE"
    assert figures["effect"]["value"] == pytest.approx(score("wer", ["q"] * UTTERANCES, [REFERENCE] * UTTERANCES).value)
    assert not figures["non_inferiority"]["passed"]


def test_a_system_is_no_worse_than_itself(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = compared(place, "good.txt", "good.txt", capsys, "--task", "asr", "--metric", "ter")
    assert figures["non_inferiority"] is None  # no margin is agreed on for TER
    assert figures["dagger"]["dagger"]
    assert figures["changed"] == []
    wide = compared(place, "good.txt", "good.txt", capsys, "--task", "st", "--margin", "99")["non_inferiority"]
    assert wide["passed"]
    assert wide["loss"] == 0.0
    assert not compared(place, "good.txt", "good.txt", capsys, "--task", "st")["non_inferiority"]["passed"]  # so few show nothing


def test_tables_fit_80_columns(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["compare", str(place / "bad.txt"), str(place / "good.txt"), "--data", str(place / "data"), "--task", "st"]
    bundles = ["compare", str(place / "2"), str(place / "8"), "--data", str(place / "data"), "--workers", "1", "--top", "0"]
    capsys.readouterr()
    assert main(bundles) == 0
    timed = capsys.readouterr().out
    assert "interleaved" in timed
    assert all(len(line) <= 80 for line in timed.splitlines() if str(place) not in line), timed
    for more in ([], ["--metric", "wer"]):
        assert main([*files, *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 80 for line in lines if str(place) not in line), [line for line in lines if len(line) > 80]
        text = " ".join(" ".join(lines).split())
        for what in ("95 % interval", "visible from", "non-inferiority", "n = 12", "changed most"):
            assert what in text


def test_every_utterance_goes_into_the_csv(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", str(place / "worse.txt"), str(place / "good.txt"), "--data", str(place / "data"), "--task", "st", "--top", "0"]
    capsys.readouterr()
    assert main([*command, "--csv", str(tmp_path / "all.csv")]) == 0
    assert "95 % interval" in capsys.readouterr().out
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"u{number}" for number in range(UTTERANCES)]
    assert [float(row["change"]) < 0 for row in rows] == [True, *[False] * (UTTERANCES - 1)]
    assert main([*command, "--csv"]) == 0
    assert capsys.readouterr().out.encode() == (tmp_path / "all.csv").read_bytes()
    figures = compared(place, "worse.txt", "good.txt", capsys, "--task", "st", "--top", "1")
    assert float(rows[0]["change"]) == figures["changed"][0]["change"]


def test_the_effects_are_drawn(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    files = ["compare", str(place / "bad.txt"), str(place / "good.txt"), "--data", str(place / "data"), "--task", "st"]
    assert main([*files, "--metric", "wer", "--figure", str(tmp_path / "c.png"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tests"]) == 3
    with Image.open(tmp_path / "c.png") as image:
        assert image.format == "PNG"
        assert image.width == 1200
        assert image.height > 300
    assert "a figure ends in one of png, svg, pdf" in refused(
        place, capsys, *files[1:3], "--task", "st", "--figure", str(tmp_path / "c.txt")
    )
    assert "got both" in refused(place, capsys, *files[1:3], "--task", "st", "--json", "--csv", str(tmp_path / "c.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]


def test_what_cannot_be_compared_is_refused_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = str(place / "good.txt"), str(place / "bad.txt")
    assert "--task" in refused(place, capsys, good, bad)
    (place / "short.txt").write_text("a\n")
    assert "short.txt has 1" in refused(place, capsys, good, str(place / "short.txt"), "--task", "st")
    assert "neither" in refused(place, capsys, good, str(place / "data"), "--task", "st")
    assert "one task, got asr, st" in refused(place, capsys, str(place / "8"), good, "--task", "asr")
    assert "above zero" in refused(place, capsys, good, bad, "--task", "st", "--margin", "0")
    assert "csv" in refused(place, capsys, good, bad, "--task", "st", "--csv", str(place / "none" / "x.csv"))
    assert "use cer" in refused(place, capsys, good, bad, "--task", "st", "--language", "zh", "--metric", "wer")


def test_evaluate_shows_the_metrics_of_its_task_and_knows_all(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(place / "8"), "--data", str(place / "data"), "--workers", "1"]
    capsys.readouterr()
    assert main(command) == 0
    cells = (line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line)
    rows = [cell for cell in cells if cell]  # signatures are folded on to lines of their own
    assert rows == ["bleu", "chrf", "chrf++", "ter"]
    assert main([*command, "--metric", "all", "--metric", "cer"]) == 0
    assert "version:" in (text := capsys.readouterr().out)
    assert all(f" {metric} " in text for metric in ("bleu", "wer", "cer"))
    assert main([*command, "--language", "zh", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert "tok:zh" in figures["bleu"]["signature"]
    assert figures["wer"] is None
    assert figures["cer"]["ci95"] is not None
    assert main([*command, "--metric", "wer", "--language", "th"]) == 2
    assert "use cer or chrf" in capsys.readouterr().err


def test_comet_is_refused_in_one_line_where_it_is_absent(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "comet", None)
    assert main(["evaluate", str(place / "8"), "--data", str(place / "data"), "--comet"]) == 2
    message = capsys.readouterr().err
    assert "paredown[comet]" in message
    assert len(message.splitlines()) == 1
