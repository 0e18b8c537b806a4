"""A table of figures for people."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None) -> Table:
    """A table whose first column is text and whose other columns are figures, aligned to the right.

    Nothing in it is markup: "paredown[models]", "[1.0, 2.0]" and a folder named "x[/y]" are meant as they stand. Words that are too long
    for a narrow screen are folded, none is cut off.
    """
    result = Table(title=Text(title, "table.title"), title_justify="left", caption_justify="left")
    result.caption = None if caption is None else Text(caption, "table.caption")
    for index, column in enumerate(columns):
        result.add_column(Text(column), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        result.add_row(*map(Text, row))
    return result
