"""`paredown report`: where the page is and what it says; and of a study that really ran, with all that its caches hold."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paredown.cli import main
from paredown.commands import report
from paredown.report.front_rows import front_json
from tests.commands.tiny import write_study
from tests.report.page import pages
from tests.report.page.test_study_page import data_of


def call(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    report.add(parser.add_subparsers())
    options = parser.parse_args(["report", *map(str, arguments)])
    return int(options.run(options))


def test_it_says_where_the_page_is_and_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pages.write_study(tmp_path)
    assert call(folder) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{folder / 'front' / 'report.html'}: 7 trials, ")
    assert "  anatomy: the model toy is not on this disk\n" in told


def test_its_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = pages.write_study(tmp_path), tmp_path / "page.html"
    assert call(folder, "-o", output, "--budget", "size=5MB", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(output)
    assert found["size_bytes"] == output.stat().st_size
    assert found["trials"] == 7
    assert set(found["missing"]) == {"sensitivity", "anatomy", "translations"}
    assert [budget["text"] for budget in data_of(output)["budgets"]] == ["size <= 5 MB"]


def test_no_torch_is_imported_where_there_is_no_model(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path)
    code = "import sys; from pathlib import Path; from paredown.report.page.study_page import write_page\n"
    code += "write_page(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


@pytest.mark.slow
def test_of_a_study_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Analyses, anatomies and texts are found in the caches, under the keys that the study stored them under."""
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(write_study(tmp_path, quality="-100"))]) == 0
    assert main(["analyse", str(tmp_path / "model"), "--data", str(tmp_path / "analysis"), "--parts", "pruning"]) == 0
    capsys.readouterr()
    folder = Path("runs/tiny")
    assert call(folder, "--json", "--ablate") == 0
    written = json.loads(capsys.readouterr().out)
    assert written["missing"] == {}
    found = data_of(Path(written["report"]))
    assert {chart["name"] for chart in found["charts"]} == {"kl", "kl_curves", "pruning", "order_decoder"}
    _check_anatomies(found, folder)
    ablation = found["cards"][str(found["study"]["leading"])]["ablation"]
    assert "bits" in {one["axis"] for one in ablation}
    assert all(0.0 < one["bought"]["size_bytes"] < 1.5 for one in ablation)
    assert len(found["heard"]) == 4
    assert all(one["baseline"] is not None and one["audio"] for one in found["heard"])


def _check_anatomies(found: dict[str, Any], folder: Path) -> None:
    """Bytes by part sum to what was measured, and those without an axis are told."""
    sizes = {row["trial"]: row["values"]["size_bytes"] for row in front_json(folder, every=True)}
    taken_apart = {int(number): card["anatomy"] for number, card in found["cards"].items() if "anatomy" in card}
    assert len(taken_apart) == len(sizes)
    for number, anatomy in taken_apart.items():
        assert anatomy["size_bytes"] == sizes[number]
        assert sum(size for _, size in [*anatomy["groups"], *anatomy["files"]]) == sizes[number]
    assert any("bits" in dict(anatomy["axes"]) for anatomy in taken_apart.values())
