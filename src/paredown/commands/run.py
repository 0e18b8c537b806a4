"""`paredown run`: start or resume a study."""

import argparse
from pathlib import Path
from typing import Any

from paredown.commands.printing import add_json, print_json
from paredown.errors import BadInput


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("run", help="start or resume a study")
    parser.add_argument("study", metavar="STUDY.toml|MODEL", help="a study file, or a model to study with default settings")
    parser.add_argument("--data", metavar="DIR", help="with MODEL: a folder with analysis and search splits")
    parser.add_argument("--trials", type=int, metavar="N")
    parser.add_argument("--time", metavar="10m", help="time of the whole study, the analysis inside")
    parser.add_argument("--budget", action="append", default=[], metavar="NAME=LIMIT", help="size=12MB, latency@cpu=80ms, quality=-1.0")
    parser.add_argument("--seed", type=int)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the study (default runs/NAME)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the study to its end and say where it stands."""
    from rich.console import Console

    from paredown.search.progress import StudyProgress
    from paredown.search.study_file import change_spec
    from paredown.trials.study_run import conduct, default_folder

    spec = change_spec(_spec(options), trials=options.trials, time=options.time, budgets=options.budget, seed=options.seed)
    folder = options.output or default_folder(spec)
    console = Console(stderr=True, highlight=False)
    with StudyProgress(spec.objective_list, spec.budget_list, console) as progress:
        finished = conduct(spec, folder, progress, lambda line: console.print(line, soft_wrap=True))
    if options.json:
        figures = {"study": str(folder), "why": finished.why, "analysis_seconds": finished.analysis_seconds, "seconds": finished.seconds}
        print_json(figures)
    else:
        print(f"{folder}: {finished.why}; {finished.seconds:.0f} s in all, {finished.analysis_seconds:.0f} s of them analysis")
    return 0


def _spec(options: argparse.Namespace) -> Any:
    """The study of a file, or default settings for a model."""
    from paredown.search.study_file import make_spec, read_spec

    if options.study.endswith(".toml"):
        return read_spec(Path(options.study))
    name = options.study.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    data = {}
    if options.data:
        data = {split: str(path) for split in ("analysis", "search") if (path := _split(Path(options.data), split))}
        if len(data) < 2:
            raise BadInput(f"--data is a folder with analysis and search inside (folders or manifests), got {options.data}")
    return make_spec(
        {"name": name, "model": {"path": options.study}, "data": data, "space": {"bits": {"average": [3.0, 8.0]}}}, "default study"
    )


def _split(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.jsonl", folder / f"{name}.tsv"):
        if path.exists():
            return path
    return None
