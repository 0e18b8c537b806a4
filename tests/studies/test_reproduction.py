"""What the three reproductions share: results that come back as they were saved, and pages that show what was and what was not run."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from studies.reproduction.main import reproduce
from studies.reproduction.result import Column, Result, Row
from studies.reproduction.show import print_result, to_markdown, write_page

COLUMNS = (Column("BLEU", 2), Column("chrF", sign=True, ours_only=True), Column("of"))
ROWS = (
    Row("a | b", {"BLEU": 56.59119, "of": "< 10"}, {"BLEU": 30.126, "chrF": 0.25, "of": "6/8"}, {"BLEU": (29.0, 31.251)}),
    Row("c", {"BLEU": 40.0}, not_run="no counter"),
)
RESULT = Result(
    "study", "Table 2", "title", COLUMNS, ROWS, "holds in part", "It is so.", ("A note.",), {"model": "m"}, "machine", "1.0", 2.0
)


def test_a_result_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = replace(RESULT, figure="figure.png").save(tmp_path)
    assert path.name == "table_2.json"
    assert Result.load(path) == replace(RESULT, figure="figure.png")
    assert [each.name for each in tmp_path.iterdir()] == ["table_2.json"]


def test_a_figure_that_is_no_number_is_not_saved(tmp_path: Path) -> None:
    broken = replace(RESULT, rows=(Row("a", ours={"BLEU": float("nan")}),))
    with pytest.raises(ValueError, match="JSON"):
        broken.save(tmp_path)
    assert not (tmp_path / "table_2.json").exists()


def test_markdown_sets_the_papers_figures_beside_ours() -> None:
    lines = to_markdown(RESULT).splitlines()
    assert "|  | BLEU, paper | BLEU, here | chrF | of, paper | of, here |" in lines
    assert "| a \\| b | 56.59119 | 30.13 [29.00, 31.25] | +0.2 | < 10 | 6/8 |" in lines
    assert "| c | 40 | not run: no counter | — | — | — |" in lines
    assert "**Holds in part.** It is so." in lines
    assert "- A note." in lines
    assert "![Table 2](figure.png)" in to_markdown(replace(RESULT, figure="figure.png"))


def test_a_page_begins_with_every_verdict(tmp_path: Path) -> None:
    write_page("Title", "python -m studies.study", [RESULT, replace(RESULT, place="Figure 4", verdict="not run")], tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.index("| Table 2 | holds in part | It is so. |") < text.index("| Figure 4 | not run |") < text.index("## Table 2: title")


def test_a_narrow_terminal_leaves_intervals_out() -> None:
    def shown(width: int) -> str:
        screen = Console(file=StringIO(), width=width)
        print_result(RESULT, screen)
        return screen.file.getvalue()  # type: ignore[attr-defined]

    assert "[29.00" in shown(160)
    assert "[29.00" not in shown(100)
    assert "HOLDS IN PART: It is so." in shown(100)


def test_a_table_that_does_not_fit_comes_in_parts() -> None:
    """Every line fits, no figure is cut, and the name of every row is in every part; why a row is not run stands below."""
    screen = Console(file=StringIO(), width=44)
    print_result(RESULT, screen)
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 44
    parts = sum(line.startswith("┏") for line in lines)
    assert parts == 2
    assert sum(line.startswith("│ a | b ") for line in lines) == parts
    for figure in ("56.59119", "30.13", "+0.2", "< 10", "6/8", "not run"):
        assert sum(figure in line for line in lines) >= 1, figure
    assert "  Not run, no counter: c." in lines


def test_a_table_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        reproduce("study", "Title", {"table_1": lambda bench: RESULT}, "model", "train", ["table_9"])
    assert ended.value.code == 2
    assert "a table is one of table_1; got table_9" in capsys.readouterr().err


def test_what_cannot_be_loaded_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = reproduce("study", "Title", {"table_1": lambda bench: RESULT}, "model", "train", ["--model", str(tmp_path / "none")])
    assert code == 2
    assert capsys.readouterr().err.startswith("studies.study: ")
