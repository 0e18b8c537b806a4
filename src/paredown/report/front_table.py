"""The front as a table: one line a trial where the screen is wide enough, else its figures with what it is made of below them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from paredown.profilers.measurement import Measurement
from paredown.report.front_figures import bracketed, decoded, heading, is_estimated
from paredown.report.front_narrow import NarrowRow, narrow_lines
from paredown.report.table import table
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome

_OPTIONAL = ("on front", "x at fixed tokens", "tokens", "≈", "feasible", "no loss")
_FINAL = ("strict ", "test ")  # what the headings of final figures begin with
_UNBOUNDED = 10_000  # columns: wider than any table


@dataclass(frozen=True)
class FrontRow:
    """What the table says of a trial.

    `trial`: its number; `study`: its study's name where there are several; `values`: one per objective; `feasible`: "yes", "no: " and the
    budgets that it misses, or "" where there are none; `alike`: trials it is not told apart from; `on_front` and `confirmed`: their
    cells, None in a table without that column. `final`: by objective what was measured strictly or on test, beside what the search saw.
    """

    trial: str
    made_of: str
    outcome: Outcome
    values: tuple[float, ...]
    feasible: str
    alike: str = ""
    on_front: str | None = None
    confirmed: str | None = None
    final: Mapping[str, Measurement] = field(default_factory=dict)
    study: str | None = None


@dataclass(frozen=True)
class FrontTable:
    """A rich renderable that looks how much room it has."""

    title: str
    rows: tuple[FrontRow, ...]
    objectives: tuple[Objective, ...]
    caption: tuple[str, ...]
    whole: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = _wide_table(self.title, self.rows, self.objectives, self.caption)
        if console.measure(wide, options=options.update(width=_UNBOUNDED)).maximum <= options.max_width:
            yield wide
        else:
            rows = [_narrow_row(row) for row in self.rows]
            yield from narrow_lines(self.title, rows, self.objectives, self.caption, options.max_width, self.whole)


def front_table(
    title: str, rows: Sequence[FrontRow], objectives: Sequence[Objective], caption: Sequence[str], whole: str = "--csv"
) -> FrontTable:
    """`caption`: the lines below it; `whole`: the option of the command that tells what a narrow screen has no room for.

    A column in which no row has anything is left out; estimates are marked one by one.
    """
    return FrontTable(title, tuple(rows), tuple(objectives), tuple(caption), whole)


def _wide_table(title: str, rows: Sequence[FrontRow], objectives: Sequence[Objective], caption: Sequence[str]) -> Table:
    """Intervals stand in brackets beside their figure."""
    names = [row.trial if row.study is None else f"{row.study} {row.trial}" for row in rows]
    columns: dict[str, list[str | None]] = {"trial": list(names), "made of": [row.made_of for row in rows]}
    columns["on front"] = [row.on_front for row in rows]
    for order, objective in enumerate(objectives):
        told = heading(objective, any(is_estimated(row.outcome, objective) for row in rows))
        columns[told] = [bracketed(objective, row.outcome.measurement_of[objective.name], row.values[order]) for row in rows]
        columns[_FINAL[objective.name == "quality"] + told] = [_final(objective, row.final.get(objective.name)) for row in rows]
    pairs = [decoded(row.outcome) for row in rows]
    columns["x at fixed tokens"] = [ratio or None for ratio, _ in pairs]
    columns["tokens"] = [tokens or None for _, tokens in pairs]
    columns["≈"] = [row.alike or None for row in rows]
    columns["feasible"] = [row.feasible or None for row in rows]
    columns["no loss"] = [row.confirmed for row in rows]
    optional = [name for name in columns if name in _OPTIONAL or name.startswith(_FINAL)]
    shown = {name: cells for name, cells in columns.items() if name not in optional or any(cell is not None for cell in cells)}
    lines = [[cells[row] or "" for cells in shown.values()] for row in range(len(rows))]
    bracket = ["Brackets hold 95 % intervals."] if any(figure.ci95 for row in rows for _, figure in row.outcome.measurements) else []
    result = table(title, list(shown), lines, "\n".join([*caption, *bracket]))
    result.columns[1].justify = "left"
    return result


def _final(objective: Objective, figure: Measurement | None) -> str | None:
    return None if figure is None else bracketed(objective, figure, figure.value)


def _narrow_row(row: FrontRow) -> NarrowRow:
    missed = row.feasible.removeprefix("no: ") if row.feasible.startswith("no: ") else ""
    notes = [row.made_of, *([f"misses {missed}"] if missed else []), *([f"≈ {row.alike}"] if row.alike else [])]
    flags = {
        ("on", "front"): row.on_front,
        ("within", "budget"): row.feasible.partition(":")[0] or None,
        ("no", "loss"): row.confirmed,
    }
    return NarrowRow(row.trial, row.study, row.outcome, row.values, row.final, flags, tuple(notes))
