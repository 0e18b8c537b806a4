"""The front as a table: one line a trial, one column an objective, however many targets there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from paredown.profilers.measurement import Measurement
from paredown.report.table import table
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome

_OPTIONAL = ("on front", "x at fixed tokens", "tokens", "≈", "no loss")
_FINAL = ("strict ", "test ")  # what the headings of final figures begin with
_SHORT = {"size_bytes": "size MB"}


@dataclass(frozen=True)
class FrontRow:
    """What the table says of a trial.

    `trial`: its number, with the study's name where there are several; `values`: one per objective; `feasible`: "yes", or the budgets that
    it misses; `alike`: trials it is not told apart from; `on_front` and `confirmed`: their cells, None in a table without that column.
    `final`: by objective what was measured strictly or on test, beside what the search saw.
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


def front_table(title: str, rows: Sequence[FrontRow], objectives: Sequence[Objective], caption: str) -> Table:
    """Intervals stand in brackets, estimates are told in the heading; a column in which no row has anything is left out."""
    columns: dict[str, list[str | None]] = {"trial": [row.trial for row in rows], "made of": [row.made_of for row in rows]}
    columns["on front"] = [row.on_front for row in rows]
    for order, objective in enumerate(objectives):
        heading = _heading(objective, rows)
        columns[heading] = [_figure(objective, row.values[order], row.outcome.measurement_of[objective.name].ci95) for row in rows]
        columns[_FINAL[objective.name == "quality"] + heading] = [_final(objective, row.final.get(objective.name)) for row in rows]
    decoded = [_decoded(row.outcome) for row in rows]
    columns["x at fixed tokens"] = [ratio or None for ratio, _ in decoded]
    columns["tokens"] = [tokens or None for _, tokens in decoded]
    columns["≈"] = [row.alike or None for row in rows]
    columns["feasible"] = [row.feasible for row in rows]
    columns["no loss"] = [row.confirmed for row in rows]
    optional = [heading for heading in columns if heading in _OPTIONAL or heading.startswith(_FINAL)]
    shown = {heading: cells for heading, cells in columns.items() if heading not in optional or any(cell is not None for cell in cells)}
    lines = [[cells[row] or "" for cells in shown.values()] for row in range(len(rows))]
    result = table(title, list(shown), lines, caption)
    result.columns[1].justify = "left"
    return result


def _heading(objective: Objective, rows: Sequence[FrontRow]) -> str:
    """Name and unit, and whether figures of the column are estimates."""
    estimated = any(objective.name in row.outcome.estimated for row in rows)
    short = objective.name.replace("_ms", "").replace("_mj", "").replace("_ratio", "")
    name = _SHORT.get(objective.name, f"{short} {objective.unit}")
    return f"{name}, ESTIMATED" if estimated else name


def _final(objective: Objective, figure: Measurement | None) -> str | None:
    if figure is None:
        return None
    return "unavailable" if figure.provenance == "unavailable" else _figure(objective, figure.value, figure.ci95)


def _figure(objective: Objective, value: float, interval: tuple[float, float] | None) -> str:
    """The value with its interval."""
    scale = 1e6 if objective.unit == "bytes" else 1.0
    digits = 2 if objective.unit == "bytes" or objective.name == "quality" or objective.unit.startswith("x ") else 1
    sign = "+" if objective.name == "quality" else ""
    around = f" [{interval[0] / scale:.{digits}f}, {interval[1] / scale:.{digits}f}]" if interval else ""
    return f"{value / scale:{sign}.{digits}f}{around}"


def _decoded(outcome: Outcome) -> tuple[str, str]:
    """Latency over the reference's at a fixed number of tokens, and the mean tokens: a damaged model that stops early is not fast.

    Of the first target: how many tokens are decoded does not depend on the target.
    """
    measured = outcome.measurement_of
    latency = next((figure for name, figure in outcome.measurements if name.startswith("latency_ms@")), None)
    ratio = None if latency is None else latency.detail_of.get("fixed_tokens_ratio")
    tokens = measured["quality"].detail_of.get("tokens")
    return (f"{ratio:.2f}" if isinstance(ratio, float) else "", f"{tokens:.1f}" if isinstance(tokens, float) else "")
