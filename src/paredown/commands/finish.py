"""`paredown finish`: the front of a study measured strictly, and scored once on *test*."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, console, print_json
from paredown.report.describe import describe
from paredown.report.front_table import FrontRow, front_table
from paredown.search.budget import METRICS
from paredown.search.study_folder import read_study

if TYPE_CHECKING:
    from paredown.search.final import Final, FinalPoint
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial


def add(subparsers: Any) -> None:
    """The command and its arguments."""
    finish = subparsers.add_parser("finish", help="measure the front strictly and score it once on data never chosen by")
    finish.add_argument("study", type=Path, metavar="STUDY", help="folder of the study (runs/NAME)")
    finish.add_argument("--test", metavar="DATA", help="the test split (default the study's data.test)")
    finish.add_argument("--no-test", action="store_true", help="measure costs alone, leave test unseen")
    finish.add_argument(
        "--time",
        metavar="10m",
        help="most time for timing in all; each of 48 utterances is timed once whatever it is (default 18 s a point)",
    )
    add_json(finish)
    finish.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure what the record lacks, then print it."""
    from paredown.commands.telling import Telling
    from paredown.search.units import parse_duration_s
    from paredown.trials.judging import finish_folder

    seconds = None if options.time is None else parse_duration_s(options.time, "--time")
    spec, trials = read_study(options.study)
    with Telling() as telling:
        record = finish_folder(options.study, options.test, unseen=options.no_test, seconds=seconds, tell=telling)
    if options.json:
        print_json(record.to_dict())
    else:
        show(spec, trials, record)
    return 0


def show(spec: "StudySpec", trials: "tuple[Trial, ...]", record: "Final") -> None:
    """A row for each point, as the search chose by; beside or below every figure the final one."""
    rows = [_row(spec, trial, point, record) for trial in trials if (point := record.find(trial)) is not None]
    seen = f"{record.split}, looked at once" if record.split else "not looked at"
    caption = [
        f"Final figures: costs measured strictly; quality on test: {seen}.",
        "Quality is the difference to the uncompressed model, above 0 where better. What the search saw is too good where it was lucky; "
        "picks and budgets go by it all the same, because test is not to choose by.",
    ]
    if not record.feasible:
        caption.append("No trial keeps the budgets: these miss them least.")
    if (warning := record.warning(sum(trial.is_finished for trial in trials))) is not None:
        caption.append(f"Warning: {warning}.")
    console().print(front_table(f"final figures of {spec.name}", rows, spec.objective_list, caption, whole="--json"))


def _row(spec: "StudySpec", trial: "Trial", point: "FinalPoint", record: "Final") -> FrontRow:
    searched = point.search.measurement_of
    values = tuple(searched[objective.name].value for objective in spec.objective_list)
    score = point.test.measurement_of.get(record.metric)
    made_of = describe(trial) + ("" if score is None else f"; {METRICS[record.metric]} {score.value:.2f} on test")
    return FrontRow(str(trial.number), made_of, point.search, values, "", final=point.figures)
