"""A result for people: a table in the terminal, and Markdown that is committed beside the figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from paredown.whole_file import whole_file
from studies.reproduction.result import Column, Figure, Result, Row

_NONE = "—"
_CELL = 28  # characters beyond which a row's name or a figure breaks; headings break between any words
_WIDE = 140  # columns of a terminal that has room for intervals; Markdown has them always


def print_result(result: Result, console: Console | None = None) -> None:
    """The table (in parts that fit the screen, one below the other), why rows are not run, the verdict and the notes."""
    screen = console or Console(soft_wrap=False, highlight=False)
    headings = _headings(result)
    rows = [_cells(result, row, intervals=screen.width >= _WIDE, reasons=False) for row in result.rows]
    title: Text | None = Text(f"{result.study}, {result.place}: {result.title}")
    widths = [max(1, *map(len, heading.split()), *(min(len(row[place]), _CELL) for row in rows)) for place, heading in enumerate(headings)]
    for part in _parts(result, widths, screen.width):
        table = Table(title=title, title_justify="left")
        for place in (0, *part):
            # Not a width but the most: where a name and a pair of figures do not fit, rich breaks what it must, and cuts nothing.
            table.add_column(Text(headings[place]), justify="left" if place == 0 else "right", max_width=widths[place], overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[place]) for place in (0, *part)))
        screen.print(table)
        title = None
    for reason in dict.fromkeys(row.not_run for row in result.rows if row.not_run):
        screen.print(Text(f"  Not run, {reason}: {', '.join(row.name for row in result.rows if row.not_run == reason)}."))
    screen.print(Text(f"{result.verdict.upper()}: {result.conclusion}"))
    for note in result.notes:
        screen.print(Text(f"  {note}"))


def _parts(result: Result, widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Places of cells that fit the width beside the row's name; the paper's figure and ours stay together."""
    part: list[int] = []
    place = 1
    for column in result.columns:
        pair = [place] if column.ours_only else [place, place + 1]
        place = pair[-1] + 1
        if part and 1 + sum(3 + widths[each] for each in (0, *part, *pair)) > width:
            yield part
            part = []
        part += pair
    yield part


def to_markdown(result: Result) -> str:
    """A section: table, verdict, notes, and where it was made."""
    lines = [f"## {result.place}: {result.title}", ""]
    headings = _headings(result)
    lines += [_line(headings), _line(["---"] + ["---:"] * (len(headings) - 1))]
    lines += [_line(_cells(result, row)) for row in result.rows]
    lines += ["", f"**{result.verdict.capitalize()}.** {result.conclusion}", ""]
    lines += [f"- {note}" for note in result.notes]
    lines += [""] * bool(result.notes)
    lines += [f"![{result.place}]({result.figure})", ""] if result.figure else []
    settings = ", ".join(f"{name} {value}" for name, value in result.settings.items())
    lines += [
        f"*{settings}; {result.seconds:.0f} s, what was kept from earlier runs not made again; {result.machine}; {result.versions}*",
        "",
    ]
    return "\n".join(lines)


def write_page(title: str, command: str, results: Sequence[Result], path: Path) -> None:
    """All results of a study on one page, in the order given."""
    head = [f"# {title}: results", "", f"Made by `{command}`. The paper's figures stand beside ours; brackets hold 95 % intervals.", ""]
    summary = ["| | | |", "| --- | --- | --- |", *(_line([each.place, each.verdict, each.conclusion]) for each in results), ""]
    with whole_file(path) as fresh:
        fresh.write_text("\n".join([*head, *summary, *map(to_markdown, results)]).rstrip() + "\n", encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _headings(result: Result) -> list[str]:
    headings = [""]
    for column in result.columns:
        headings += [column.name] if column.ours_only else [f"{column.name}, paper", f"{column.name}, here"]
    return headings


def _cells(result: Result, row: Row, intervals: bool = True, reasons: bool = True) -> list[str]:
    """`reasons`: why a row is not run stands in it."""
    cells = [row.name]
    around = row.intervals if intervals else {}
    for place, column in enumerate(result.columns):
        if not column.ours_only:
            cells.append(_printed(row.paper.get(column.name)))
        if row.not_run:
            cells.append(_NONE if place else f"not run: {row.not_run}" if reasons else "not run")
        else:
            cells.append(_figure(column, row.ours.get(column.name), around.get(column.name)))
    return cells


def _printed(value: Figure | None) -> str:
    """A figure of the paper, with the digits that it has there."""
    if value is None:
        return _NONE
    return value if isinstance(value, str) else f"{value:.10g}"


def _figure(column: Column, value: Figure | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return _NONE
    if isinstance(value, str):
        return value
    sign = "+" if column.sign else ""
    around = f" [{interval[0]:.{column.digits}f}, {interval[1]:.{column.digits}f}]" if interval else ""
    return f"{value:{sign}.{column.digits}f}{around}"
