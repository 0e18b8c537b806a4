"""Titles, headings and cells are text and no markup."""

import io

from rich.console import Console

from paredown.report.table import table


def test_nothing_is_markup() -> None:
    text = io.StringIO()
    Console(file=text, width=80).print(table("x[/y]", ("a[b]", "[c]"), [("[d]", "[/e]")], "[bold]f"))
    for part in ("x[/y]", "a[b]", "[c]", "[d]", "[/e]", "[bold]f"):
        assert part in text.getvalue()
