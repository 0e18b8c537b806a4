"""Titles, headings and cells are text and no markup; figures are folded last of all."""

import io

import pytest
from rich.console import Console

from paredown.report.table import fit_widths, table


def test_nothing_is_markup() -> None:
    text = io.StringIO()
    Console(file=text, width=80).print(table("x[/y]", ("a[b]", "[c]"), [("[d]", "[/e]")], "[bold]f"))
    for part in ("x[/y]", "a[b]", "[c]", "[d]", "[/e]", "[bold]f"):
        assert part in text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_figure_is_folded_while_there_are_words_to_fold(width: int) -> None:
    text, name = io.StringIO(), "a name of many short words that goes on and on for much longer than any screen is wide"
    columns = ("what", "effect", "95 % interval", "p")
    Console(file=text, width=width).print(table("t", columns, [(name, "-123.456", "-130.111 to -99.999", "0.001")]))
    told = text.getvalue()
    assert all(len(line) <= width for line in told.splitlines())
    assert all(figure in told for figure in ("-123.456", "-130.111", "-99.999", "0.001"))


def test_widths_by_hand() -> None:
    assert fit_widths([5, 30, 30], [5, 8, 8], 45) == [5, 20, 20]  # the short one whole, the long ones share
    assert fit_widths([5, 30], [5, 8], 100) == [5, 30]  # no more than they can use
    assert fit_widths([5, 30, 9], [5, 28, 9], 20) == [5, 8, 7]  # words too long for the screen: the longest are cut
    assert fit_widths([9, 9], [9, 9], 1) == [1, 1]
    assert fit_widths([], [], 10) == []
