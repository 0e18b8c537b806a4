"""`paredown show`: one trial of a study, two beside each other, and what each axis of one bought."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_csv, add_json, check_outputs, console, print_json
from paredown.errors import BadInput
from paredown.report.describe import describe
from paredown.search.study_folder import find_trial, read_study

if TYPE_CHECKING:
    from paredown.report.csv_file import Cell
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial
    from paredown.trials.ablation import Ablated


def add(subparsers: Any) -> None:
    """The command and its arguments."""
    show = subparsers.add_parser("show", help="one trial: per-layer bits, blocks, sparsity, measurements; or two side by side")
    show.add_argument("study", type=Path, metavar="STUDY")
    show.add_argument("--trial", type=int, required=True, metavar="N")
    beside = show.add_mutually_exclusive_group()
    beside.add_argument("--diff", type=int, metavar="M", help="beside trial M: measurements, and the parts that differ")
    beside.add_argument("--ablate", action="store_true", help="measure it again without each of its axes: what each one bought")
    add_json(show)
    add_csv(show, "a row for each trial (--ablate: for each axis)")
    show.add_argument("--figure", type=Path, metavar="FILE", help="draw the bit-width of every layer (.png, .svg or .pdf)")
    show.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one trial: its measurements, then what was done to every layer; or two; or what each of its axes bought."""
    check_outputs(options)
    if options.figure is not None and (options.ablate or options.diff is not None):
        raise BadInput(f"--figure draws the layers of one trial, got it with {'--ablate' if options.ablate else '--diff'}")
    spec, trials = read_study(options.study)
    trial = find_trial(trials, options.trial)
    if options.ablate:
        return _ablate(options, spec, trial)
    if options.diff is not None:
        return _diff(options, spec, trial, find_trial(trials, options.diff))
    if options.figure is not None:
        _draw(options.figure, spec, trial)
    if not _wrote([trial], options):
        if options.json:
            print_json(_trial_json(trial))
        else:
            _print_trial(spec, trial)
    return 0


def _wrote(trials: "list[Trial]", options: argparse.Namespace) -> bool:
    """Writes the values where they were asked for; whether they went to the screen, in place of everything else."""
    from paredown.report.csv_file import STDOUT, write_csv
    from paredown.report.front_csv import trial_cells

    if options.csv is not None:
        write_csv([trial_cells(trial) for trial in trials], options.csv)
    return bool(options.csv == STDOUT)


def _trial_json(trial: "Trial") -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state,
        "label": trial.label,
        "reason": trial.reason,
        "seconds": trial.seconds,
        "knobs": dict(trial.candidate.knobs or ()),
        "measurements": {name: value.to_dict() for name, value in (trial.outcome.measurements if trial.outcome else ())},
        "configuration": json.loads(trial.configuration.to_json()),
    }


def _headline(spec: "StudySpec", trial: "Trial") -> str:
    return f"trial {trial.number} of {spec.name}: {describe(trial)}; {trial.state}" + (f", {trial.reason}" if trial.reason else "")


def _print_trial(spec: "StudySpec", trial: "Trial") -> None:
    from rich.text import Text

    from paredown.report.trial_table import detail_lines, figures_table, map_lines, parts_table

    screen = console()
    screen.print(Text(_headline(spec, trial)))
    outcome = trial.outcome or trial.partial
    if outcome is not None:
        screen.print(figures_table(outcome, "measurements" if trial.outcome else "measured before it was stopped"))
        for line in detail_lines(outcome):
            screen.print(Text(line, "dim"))
    screen.print(parts_table(trial.configuration))
    for text in map_lines(trial.configuration, screen.width):
        screen.print(text)


def _diff(options: argparse.Namespace, spec: "StudySpec", trial: "Trial", other: "Trial") -> int:
    """Two trials side by side: measurements, and of the configuration only what differs."""
    if trial.number == other.number:
        raise BadInput(f"two trials are compared, --trial and --diff are both {trial.number}")
    if _wrote([trial, other], options):
        return 0
    if options.json:
        from paredown.report.trial_parts import differing

        rows = [{"part": part, "trial": one, "diff": two} for part, one, two in differing(trial.configuration, other.configuration)]
        print_json({"trials": [_trial_json(trial), _trial_json(other)], "differs": rows})
        return 0
    _print_diff(spec, trial, other)
    return 0


def _print_diff(spec: "StudySpec", trial: "Trial", other: "Trial") -> None:
    from rich.text import Text

    from paredown.report.trial_table import compared_table, differing_map_lines, differing_table
    from paredown.search.final import NOTHING

    screen = console()
    names = (f"trial {trial.number}", f"trial {other.number}")
    for each in (trial, other):
        screen.print(Text(_headline(spec, each)))
    outcomes = (trial.outcome or trial.partial or NOTHING, other.outcome or other.partial or NOTHING)
    screen.print(compared_table(names, outcomes, "measurements"))
    pair = (trial.configuration, other.configuration)
    differs = differing_table(names, pair)
    screen.print(Text("the two have one configuration") if differs is None and pair[0] == pair[1] else differs or Text(""))
    for text in differing_map_lines(names, pair, screen.width):
        screen.print(text)


def _draw(path: Path, spec: "StudySpec", trial: "Trial") -> None:
    from paredown.report.bit_map_figure import draw_bit_map
    from paredown.report.figure_file import write_figure

    write_figure(draw_bit_map(trial.configuration, f"trial {trial.number} of {spec.name}: {describe(trial).partition('; zeros')[0]}"), path)


def _ablate(options: argparse.Namespace, spec: "StudySpec", trial: "Trial") -> int:
    """Measure the trial and itself without each axis, side by side."""
    from paredown.commands.telling import Telling
    from paredown.report.ablation_table import ablation_table
    from paredown.report.csv_file import STDOUT, write_csv
    from paredown.search.study import read_identity
    from paredown.trials.ablation import ablate
    from paredown.trials.study_run import studied_model

    if trial.outcome is None:
        raise BadInput(f"what axes bought is measured of a complete trial, trial {trial.number} is {trial.state}")
    model = studied_model(spec, str(read_identity(options.study)["model"]))
    with Telling() as telling:
        found = ablate(spec, model, trial.configuration, telling)
    if options.csv is not None:
        write_csv([_ablated_cells(trial, each) for each in found], options.csv)
    if options.json:
        print_json({"trial": trial.number, "ablation": [each.to_dict() for each in found]})
    elif options.csv != STDOUT:
        console().print(ablation_table(f"trial {trial.number} of {spec.name}: {describe(trial)}", found, spec.objective_list))
    return 0


def _ablated_cells(trial: "Trial", each: "Ablated") -> "dict[str, Cell]":
    from paredown.report.csv_file import figure_cells

    cells: dict[str, Cell] = {"trial": trial.number, "without": each.axis, "configuration": each.configuration.digest}
    for name, figure in each.outcome.measurements:
        cells |= figure_cells(name, figure)
    return cells
