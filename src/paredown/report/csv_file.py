"""Figures as comma-separated values (RFC 4180), for spreadsheets and data frames: base units, with the unit in the column's name."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from paredown.profilers.measurement import Measurement
from paredown.whole_file import whole_file

Cell = str | int | float | bool | None
STDOUT = Path("-")


def figure_cells(name: str, figure: Measurement) -> dict[str, Cell]:
    """The columns of one measurement: the value, both ends of its 95 % interval and where it comes from.

    `name` carries the unit ("latency_ms@cpu"). The value is empty where it is unavailable, the ends where there is no interval.
    """
    low, high = figure.ci95 or (None, None)
    value = None if figure.provenance == "unavailable" else figure.value
    return {name: value, f"{name}_low": low, f"{name}_high": high, f"{name}_provenance": figure.provenance}


def write_csv(rows: Sequence[Mapping[str, Cell]], path: Path, columns: Sequence[str] = ()) -> None:
    """Writes all rows under a heading, to the screen where `path` is "-"; the file is there whole or not at all.

    The columns are `columns`, then whatever else the rows have, in the order in which it comes first; what a row lacks is empty. Numbers
    have all their digits, truths are "true" and "false".
    """
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    if path == STDOUT:
        _write(rows, names, sys.stdout)
        return
    with whole_file(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        _write(rows, names, file)


def _write(rows: Iterable[Mapping[str, Cell]], names: Sequence[str], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_text(row.get(name)) for name in names])


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return repr(cell) if isinstance(cell, float) else str(cell)
