"""`paredown run`: start or resume a study."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_budgets, add_json, positive, print_json

if TYPE_CHECKING:
    from paredown.search.spec import StudySpec
    from paredown.trials.study_run import Finished


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("run", help="start or resume a study")
    parser.add_argument("study", metavar="STUDY.toml|MODEL", help="a study file, or a model to study with default settings")
    parser.add_argument("--data", metavar="DIR", help="with MODEL: a folder with the splits analysis, search and, to confirm by, test")
    parser.add_argument("--trials", type=positive, metavar="N")
    parser.add_argument("--time", metavar="10m", help="time of the whole study, the analysis inside")
    add_budgets(parser)
    parser.add_argument("--seed", type=int)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the study (default runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="say what the study would cost and what it can reach; nothing is written")
    parser.add_argument("--from", dest="warm", action="append", type=Path, metavar="STUDY", help="begin from another study's trials")
    parser.add_argument("--ray", metavar="ADDRESS", help="evaluate on a Ray cluster: its address, or auto")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the study to its end and say where it stands."""
    from paredown.search.study_file import change_spec
    from paredown.trials.default_study import anchored, asked_spec
    from paredown.trials.study_run import default_folder

    asked = asked_spec(options.study, options.data)
    spec = anchored(change_spec(asked, trials=options.trials, time=options.time, budgets=options.budget, seed=options.seed))
    folder = options.output or default_folder(spec)
    if options.dry_run:
        return _foretell(spec, folder, options)
    finished = _conduct(spec, folder, options)
    if options.json:
        figures = {"study": str(folder), "why": finished.why, "analysis_seconds": finished.analysis_seconds, "seconds": finished.seconds}
        print_json(figures)
    else:
        print(f"{folder}: {finished.why}; {finished.seconds:.0f} s in all, {finished.analysis_seconds:.0f} s of them analysis")
    return 0


def _foretell(spec: "StudySpec", folder: Path, options: argparse.Namespace) -> int:
    from paredown.commands.telling import Telling
    from paredown.trials.dry_run import foretell_study

    with Telling() as telling:
        foretold = foretell_study(spec, folder, telling)
    if options.json:
        print_json(foretold.to_dict())
    else:
        print("\n".join(foretold.lines()))
    return 0


def _conduct(spec: "StudySpec", folder: Path, options: argparse.Namespace) -> "Finished":
    """Steps are told first; the trials' display takes over with the first of them."""
    from paredown.commands.telling import Telling
    from paredown.search.loop import Standing
    from paredown.search.progress import StudyProgress
    from paredown.trials.study_run import conduct

    with ExitStack() as shown:
        telling = shown.enter_context(Telling())
        progress = StudyProgress(spec.objective_list, spec.budget_list)
        begun = False

        def watch(standing: Standing) -> None:
            nonlocal begun
            if not begun:
                telling.stop()
                shown.enter_context(progress)
                begun = True
            progress(standing)

        return conduct(spec, folder, watch, telling, options.warm or (), options.ray)
