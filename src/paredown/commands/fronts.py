"""`paredown front` and `status`: what studies found. They only read, so a running study can be watched."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_budgets, add_csv, add_json, check_outputs, console, megabytes, print_json, table
from paredown.search.budget import METRICS
from paredown.search.study_folder import read_study

if TYPE_CHECKING:
    from paredown.report.front_figure import FrontPicture
    from paredown.report.front_rows import FrontEntry, SeveralFront, StudyFront
    from paredown.report.front_table import FrontRow
    from paredown.search.objective import Objective

_LISTED = 3  # of the trials that one is not told apart from; JSON has all


def add(subparsers: Any) -> None:
    front = subparsers.add_parser("front", help="the trials no other trial dominates, with intervals")
    front.add_argument("study", type=Path, nargs="+", metavar="STUDY", help="folder of the study (runs/NAME); several come on one front")
    add_budgets(front)
    front.add_argument("--all", action="store_true", help="every complete trial, not the front alone")
    condition = "only trials of which it holds: size<=8MB, latency@cpu<80ms, bits.average<4, layers.decoder=4 (all of several)"
    front.add_argument("--where", action="append", default=[], metavar="CONDITION", help=condition)
    order = "quality, latency, size, energy (best first) or trial; with @TARGET where there are several; --sort=-size turns it"
    front.add_argument("--sort", metavar="KEY", help=order)
    front.add_argument("--reverse", action="store_true", help="the other way round")
    add_json(front)
    add_csv(front, "a row for each trial")
    front.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw it (.png, .svg or .pdf): two objectives, intervals, budgets, picks"
    )
    front.add_argument("--x", metavar="OBJECTIVE", help="across in the figure (default: size)")
    front.add_argument("--y", metavar="OBJECTIVE", help="up in the figure (default: quality)")
    front.set_defaults(run=run_front)

    status = subparsers.add_parser("status", help="studies on this disk: state, size, best point")
    status.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR")
    add_json(status)
    status.set_defaults(run=run_status)


def run_front(options: argparse.Namespace) -> int:
    """Print the front of a study, or of several together, best quality first; as a table, JSON, CSV or picture."""
    from paredown.errors import BadInput
    from paredown.report.front_filter import parse_conditions, sort_entries
    from paredown.report.front_rows import read_front, read_fronts, shown_entries

    check_outputs(options)
    if (options.x or options.y) and options.figure is None:
        raise BadInput("--x and --y are the axes of --figure, got them without one")
    front = read_front(options.study[0], options.budget) if len(options.study) == 1 else read_fronts(options.study, options.budget)
    shown = shown_entries(front, options.all)
    conditions = parse_conditions(options.where, [entry.trial for entry in front.entries])
    found = [entry for entry in shown if all(condition.holds(entry.trial) for condition in conditions)]
    if options.sort is not None or options.reverse:
        found = sort_entries(found, options.sort or "quality", front.objectives, options.reverse)
    if options.figure is not None:
        _draw(front, options)
    _write(front, found, len(shown), options)
    return 0


def _write(front: "StudyFront | SeveralFront", found: "Sequence[FrontEntry]", of: int, options: argparse.Namespace) -> None:
    """What was asked for on the screen, and the file of values where one was."""
    from paredown.report.csv_file import STDOUT, write_csv
    from paredown.report.front_csv import COLUMNS, entry_cells

    if options.csv is not None:
        write_csv([entry_cells(entry, entry.study or _title(front)) for entry in found], options.csv, COLUMNS)
    if options.json:
        print_json([entry.to_dict() for entry in found])
    elif options.csv != STDOUT:
        _print_table(front, found, of, options)


def _title(front: "StudyFront | SeveralFront") -> str:
    from paredown.report.front_rows import StudyFront

    return front.spec.name if isinstance(front, StudyFront) else " and ".join(source.name for source in front.sources)


def _print_table(front: "StudyFront | SeveralFront", found: "Sequence[FrontEntry]", of: int, options: argparse.Namespace) -> None:
    from paredown.report.front_rows import StudyFront
    from paredown.report.front_table import front_table

    caption = _caption(front) if isinstance(front, StudyFront) else _joint_caption(front)
    if options.where:
        caption.insert(0, f"{len(found)} of {of} shown: {' and '.join(options.where)}.")
    has_budgets = bool(front.budgets) if isinstance(front, StudyFront) else any(source.budgets for source in front.sources)
    tested = isinstance(front, StudyFront) and front.record is not None
    rows = [_row(entry, has_budgets, options.all, tested) for entry in found]
    console().print(front_table(f"front of {_title(front)}", rows, front.objectives, caption))


def _caption(front: "StudyFront") -> list[str]:
    from paredown.report.front_caption import QUALITY, notes, nothing_kept, told_final, told_stopped

    points = [entry.point for entry in front.entries]
    caption = [
        f"{len(points)} trials complete, {sum(point.on_front for point in points)} on the front. {QUALITY}",
        *nothing_kept(front.trials, front.budgets, front.nothing_kept),
        *notes(points),
        *told_stopped(front.spec.name, front.trials),
        *told_final(front.final, front.trials),
    ]
    if front.record is not None:
        margin = f"{front.record.margin:g} {METRICS[front.record.metric]}"
        caption.append(
            f"No loss: tested on {front.record.split} within {margin}, fixed beforehand; no entry: not tested (see paredown confirm)."
        )
    return caption


def _joint_caption(front: "SeveralFront") -> list[str]:
    from paredown.report.front_caption import joint_caption

    return joint_caption(front.joint, front.sources)


def _row(entry: "FrontEntry", has_budgets: bool, every: bool, tested: bool) -> "FrontRow":
    from paredown.report.describe import describe
    from paredown.report.front_table import FrontRow

    assert entry.trial.outcome is not None
    missed = ", ".join(str(miss) for miss in entry.missed)
    kept = "yes" if has_budgets else ""
    return FrontRow(
        trial=str(entry.trial.number),
        made_of=describe(entry.trial),
        outcome=entry.trial.outcome,
        values=entry.point.values,
        feasible=f"no: {missed}" if missed else kept,
        alike=_listed(entry.alike),
        on_front=("yes" if entry.point.on_front else "") if every else None,
        confirmed={True: "yes", False: "no", None: ""}[entry.confirmed] if tested else None,
        final={} if entry.final is None else entry.final.figures,
        study=entry.study,
    )


def _listed(names: Sequence[str]) -> str:
    """The first of them, and how many more there are: JSON has all."""
    return ", ".join(names[:_LISTED]) + (f" +{len(names) - _LISTED}" if len(names) > _LISTED else "")


def _draw(front: "StudyFront | SeveralFront", options: argparse.Namespace) -> None:
    from paredown.report.figure_file import write_figure
    from paredown.report.front_figure import draw_front, find_objective

    x, y = _axes(front, options)
    picture = picture_of(front)
    write_figure(draw_front(picture, find_objective(x, front.objectives), find_objective(y, front.objectives)), options.figure)


def _axes(front: "StudyFront | SeveralFront", options: argparse.Namespace) -> tuple[str, str]:
    """The names asked for, else size and quality, else the first cost in size's place."""
    costs: list[Objective] = [objective for objective in front.objectives if objective.name != "quality"]
    usual = next((cost.name for cost in costs if cost.name == "size_bytes"), costs[0].name if costs else "size")
    return options.x or usual, options.y or "quality"


def picture_of(front: "StudyFront | SeveralFront") -> "FrontPicture":
    """The front as `draw_front` takes it: all complete trials; budgets and picks where it is one study's."""
    from paredown.report.front_figure import FrontPicture, picks_of
    from paredown.report.front_rows import StudyFront

    title = f"front of {_title(front)}"
    if not isinstance(front, StudyFront):
        return FrontPicture(title, front.entries, front.objectives)
    picks: Mapping[str, str] = picks_of(front.trials, front.objectives, front.budgets)
    return FrontPicture(title, front.entries, front.objectives, front.budgets, picks)


def run_status(options: argparse.Namespace) -> int:
    """One line for each study under the folder."""
    from paredown.search.lock import is_held
    from paredown.search.progress import StudyProgress

    rows, values = [], []
    for database in sorted(options.folder.glob("*/study.db")):
        spec, trials = read_study(database.parent)
        held = is_held(database.parent)
        done = sum(trial.is_finished for trial in trials)
        state = "running" if held else ("finished" if done >= spec.search.trials else "stopped")
        best = StudyProgress(spec.objective_list, spec.budget_list).bests(trials)
        size_bytes = sum(path.stat().st_size for path in database.parent.rglob("*") if path.is_file())
        rows.append((spec.name, state, f"{done}/{spec.search.trials}", megabytes(size_bytes), best))
        planned = spec.search.trials
        values.append(
            {"study": str(database.parent), "state": state, "trials": done, "planned": planned, "size_bytes": size_bytes, "best": best}
        )
    if options.json:
        print_json(values)
        return 0
    console().print(table(f"studies in {options.folder}", ("study", "state", "trials", "on disk", "best so far"), rows))
    return 0
