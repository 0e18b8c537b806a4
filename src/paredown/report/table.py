"""A table of figures for people."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text


class FittedTable(Table):
    """A table that keeps words whole where the screen is narrow: no figure is folded while a longer word is left to fold."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        limit = options.max_width if self.width is None else self.width
        available = limit - self._extra_width - sum(self._get_padding_width(column._index) for column in self.columns)
        texts = [[cell for cell in (column.header, *column._cells) if isinstance(cell, Text)] for column in self.columns]
        natural = [max((line.cell_len for text in column for line in text.split("\n")), default=0) for column in texts]
        if sum(natural) > available and all(column.width is None and column.ratio is None for column in self.columns):
            least = [max((Text(word).cell_len for text in column for word in text.plain.split()), default=0) for column in texts]
            for column, width in zip(self.columns, fit_widths(natural, least, available), strict=True):
                column.width = width
        yield from super().__rich_console__(console, options)


def fit_widths(natural: Sequence[int], least: Sequence[int], available: int) -> list[int]:
    """Widths of columns that together take at most `available`, and as much of it as they can use.

    `natural`: [columns], of the longest line; `least`: [columns], of the longest word, which every column gets before any gets more. Where
    not even those fit, the longest of them are cut down to one width. Each column has at least one.
    """
    cap = max(least, default=0)
    while cap > 1 and sum(min(width, cap) for width in least) > available:
        cap -= 1
    widths = [max(1, min(width, cap)) for width in least]
    while sum(widths) < available:
        wanting = [index for index, width in enumerate(widths) if width < natural[index]]
        if not wanting:
            break
        widths[min(wanting, key=lambda index: widths[index])] += 1  # the narrowest: short columns are whole, long ones share what is left
    return widths


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None) -> Table:
    """A table whose first column is text and whose other columns are figures, aligned to the right.

    Nothing in it is markup: "paredown[models]", "[1.0, 2.0]" and a folder named "x[/y]" are meant as they stand. Words that are too long
    for a narrow screen are folded, none is cut off; figures are folded last of all.
    """
    result = FittedTable(title=Text(title, "table.title"), title_justify="left", caption_justify="left")
    result.caption = None if caption is None else Text(caption, "table.caption")
    for index, column in enumerate(columns):
        result.add_column(Text(column), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        result.add_row(*map(Text, row))
    return result
