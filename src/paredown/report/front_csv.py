"""A trial as a row of comma-separated values: what `front --csv` and `show --csv` write."""

from collections.abc import Mapping

from paredown.profilers.measurement import Measurement
from paredown.report.csv_file import Cell, figure_cells
from paredown.report.describe import describe
from paredown.report.front_rows import FrontEntry
from paredown.search.final import NOTHING
from paredown.search.trial import Trial

COLUMNS = ("study", "trial", "on_front", "feasible", "confirmed", "indistinguishable", "state", "label", "made_of", "configuration")
_DETAILS = ("fixed_tokens_ratio", "tokens")  # of a figure, that the front's table tells as well


def trial_cells(trial: Trial) -> dict[str, Cell]:
    """What a trial is, its knobs ("knob.bits.average") and all that was measured of it."""
    cells: dict[str, Cell] = {"trial": trial.number, "state": trial.state, "label": trial.label, "made_of": describe(trial)}
    cells |= {"configuration": trial.digest}
    outcome = trial.outcome or trial.partial or NOTHING
    for name, figure in outcome.measurements:
        cells |= figure_cells(name, figure) | _details(name, figure)
    return cells | {f"knob.{name}": value for name, value in trial.candidate.knobs or ()}


def entry_cells(entry: FrontEntry, study: str) -> dict[str, Cell]:
    """A row of the front: the trial, where it stands, and beside the search's figures the final ones ("strict.…", "test.…")."""
    cells: dict[str, Cell] = {"study": study, "on_front": entry.point.on_front, "feasible": entry.point.feasible}
    cells |= {"confirmed": entry.confirmed, "indistinguishable": "; ".join(entry.alike)} | trial_cells(entry.trial)
    cells |= {f"beyond.{miss.budget.name}": miss.beyond for miss in entry.missed}
    if entry.final is not None:
        for kind, outcome in (("strict", entry.final.strict), ("test", entry.final.test)):
            cells |= _final(kind, outcome.measurement_of)
    return cells


def _final(kind: str, figures: Mapping[str, Measurement]) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for name, figure in figures.items():
        found |= figure_cells(f"{kind}.{name}", figure)
    return found


def _details(name: str, figure: Measurement) -> dict[str, Cell]:
    return {f"{name}_{key}": value for key, value in figure.detail if key in _DETAILS and not isinstance(value, tuple)}
