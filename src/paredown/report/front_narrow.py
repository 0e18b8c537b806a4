"""The front on a narrow screen: a line of figures for each trial, below it the final ones, then what the trial is made of.

Where brackets are too wide intervals shrink to "±", the distance of the farther end; then the columns that say the least are left out,
which the caption says, and at last intervals go below their figures.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.text import Text

from paredown.profilers.measurement import Measurement
from paredown.report.front_figures import ESTIMATED, bracketed, decoded, half_width, is_estimated, plain, short_heading
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome

_GAP = "  "
_INDENT = 7  # of what a trial is made of
_LONGEST_NAME = 14  # of a study before its trial's number; longer ones go to the line below
_DROPPED = (("tokens", ""), ("x at", "fixed"))  # the columns that go first, in this order
Form = Literal["brackets", "beside", "below"]  # of intervals: [low, high], ± beside the figure, ± below it
FORMS: tuple[Form, ...] = ("brackets", "beside", "below")
_WORDS = {_DROPPED[0]: "tokens", _DROPPED[1]: "x at fixed tokens"}


@dataclass(frozen=True)
class NarrowRow:
    """One trial.

    `flags`: by the two lines of a heading a short cell, None where the table has no such column; `notes`: what goes
    below the figures.
    """

    trial: str
    study: str | None
    outcome: Outcome
    values: tuple[float, ...]
    final: Mapping[str, Measurement]
    flags: Mapping[tuple[str, str], str | None]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """`heading`: its lines; `cells`: for each row its lines."""

    heading: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        return max(cell_len(line) for lines in (self.heading, *self.cells) for line in lines)


def narrow_lines(
    title: str, rows: Sequence[NarrowRow], objectives: Sequence[Objective], caption: Sequence[str], width: int, whole: str
) -> Iterator[Text]:
    """The lines, none wider than `width` (of at least 40). `whole`: the option that tells everything."""
    named = all(row.study is None or len(row.study) <= _LONGEST_NAME for row in rows)
    columns, form, left_out = _fit(rows, objectives, named, width)
    head = max(len(column.heading) for column in columns)
    yield from _wrapped(title, width, 0, "table.title")
    for line in range(head):
        yield Text(_line([column.heading[line] if line < len(column.heading) else "" for column in columns], columns), "table.header")
    yield Text("─" * min(width, sum(column.width + len(_GAP) for column in columns) - len(_GAP)))
    for order, row in enumerate(rows):
        depth = max(len(column.cells[order]) for column in columns)
        for line in range(depth):
            cells = [column.cells[order][line] if line < len(column.cells[order]) else "" for column in columns]
            if line == 0 or any(cells):
                yield Text(_line(cells, columns))
        notes = row.notes if named or row.study is None else (row.study, *row.notes)
        yield from _wrapped("; ".join(note for note in notes if note), width, _INDENT, "dim")
    for told in (*caption, *_notes(rows, objectives, form, left_out, whole)):
        yield from _wrapped(told, width, 0, "table.caption")


def _fit(rows: Sequence[NarrowRow], objectives: Sequence[Objective], named: bool, width: int) -> tuple[list[_Column], Form, list[str]]:
    """The columns in the first arrangement that fits, and the names of those it leaves out; the last one where none does."""
    columns, left_out, form = list[_Column](), list[str](), FORMS[-1]
    for form in FORMS:
        for dropped in range(1 if form == "brackets" else len(_DROPPED) + 1):
            columns = _columns(rows, objectives, named, form)
            gone = [column for column in columns if column.heading in _DROPPED[:dropped]]
            columns = [column for column in columns if column not in gone]
            left_out = [_WORDS[column.heading[0], column.heading[1]] for column in gone]
            if sum(column.width + len(_GAP) for column in columns) - len(_GAP) <= width:
                return columns, form, left_out
    return columns, form, left_out


def _columns(rows: Sequence[NarrowRow], objectives: Sequence[Objective], named: bool, form: Form) -> list[_Column]:
    trials = tuple((f"{row.study} {row.trial}" if named and row.study is not None else row.trial,) for row in rows)
    columns = [_Column(("trial",), trials)]
    flags: dict[tuple[str, str], None] = dict.fromkeys(heading for row in rows for heading in row.flags)
    for order, objective in enumerate(objectives):
        has_final = any(objective.name in row.final for row in rows)
        final = (("test" if objective.name == "quality" else "strict"),) if has_final else ()
        cells = tuple(_cell(row, order, objective, form) for row in rows)
        columns.append(_Column((*short_heading(objective), *final), cells))
    pairs = [decoded(row.outcome) for row in rows]
    columns += [_Column(_DROPPED[1 - place], tuple((pair[place],) for pair in pairs)) for place in (0, 1) if any(p[place] for p in pairs)]
    for heading in flags:
        if any(row.flags[heading] is not None for row in rows):
            columns.append(_Column(heading, tuple((row.flags[heading] or "",) for row in rows)))
    return columns


def _cell(row: NarrowRow, order: int, objective: Objective, form: Form) -> tuple[str, ...]:
    """The search's figure, and below it the final one where there is one."""
    figures = [(row.outcome.measurement_of[objective.name], row.values[order])]
    final = row.final.get(objective.name)
    figures += [(final, final.value)] if final is not None else []
    lines: list[str] = []
    for figure, value in figures:
        parts = (plain(objective, figure, value), half_width(objective, figure, value))
        if form == "brackets":
            lines.append(bracketed(objective, figure, value))
        else:
            lines += parts if form == "below" else [" ".join(part for part in parts if part)]
    return tuple(lines)


def _line(cells: Sequence[str], columns: Sequence[_Column]) -> str:
    """One line; the first column is text, the others are figures, aligned to the right."""
    first, *others = columns
    padded = [cells[0] + " " * (first.width - cell_len(cells[0]))]
    padded += [" " * (column.width - cell_len(cell)) + cell for cell, column in zip(cells[1:], others, strict=True)]
    return _GAP.join(padded).rstrip()


def _notes(rows: Sequence[NarrowRow], objectives: Sequence[Objective], form: Form, left_out: Sequence[str], whole: str) -> list[str]:
    """What the signs mean, and where to find what this table does not say."""
    lines = []
    if any(figure.ci95 for row in rows for _, figure in row.outcome.measurements):
        short = f"±: the farther end of the 95 % interval; both ends on a wider screen and with {whole}."
        lines.append("Brackets hold 95 % intervals." if form == "brackets" else short)
    guessed = [objective.name for objective in objectives if any(is_estimated(row.outcome, objective) for row in rows)]
    if guessed:
        lines.append(f"{ESTIMATED} ESTIMATED, not measured: {', '.join(guessed)}.")
    if form != "brackets" and any(figure.provenance == "unavailable" for row in rows for figure in row.final.values()):
        lines.append("n/a: unavailable on this machine.")
    if left_out:
        lines.append(f"Left out for want of room: {', '.join(left_out)} (on a wider screen, with {whole}, in paredown show).")
    return lines


def _wrapped(text: str, width: int, indent: int, style: str) -> Iterator[Text]:
    """The text in lines of at most `width`, all indented; words that are longer are folded."""
    from rich.console import Console

    lines = Text(text).wrap(Console(width=width), max(1, width - indent), overflow="fold")
    for line in lines:
        line.rstrip()
        yield Text(" " * indent + line.plain, style)
