"""`paredown run`: start or resume a study."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_budgets, add_json, positive, print_json
from paredown.errors import BadInput

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
    from paredown.trials.study_run import default_folder

    spec = anchored(change_spec(_spec(options), trials=options.trials, time=options.time, budgets=options.budget, seed=options.seed))
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


def anchored(spec: "StudySpec") -> "StudySpec":
    """The study with absolute paths, so that it can be resumed and exported from any folder."""

    def absolute(path: str | None) -> str | None:
        return str(Path(path).absolute()) if path and not path.startswith("bundled:") else path

    data = {name: absolute(path) for name, path in spec.data.model_dump().items()}
    model = spec.model.model_copy(update={"path": absolute(spec.model.path)})
    warm = tuple(str(Path(folder).absolute()) for folder in spec.search.warm_start)
    search = spec.search.model_copy(update={"warm_start": warm})
    return spec.model_copy(update={"model": model, "data": spec.data.model_copy(update=data), "search": search})


def _spec(options: argparse.Namespace) -> "StudySpec":
    """The study of a file, or default settings for a model."""
    from paredown.search.study_file import make_spec, read_spec

    if options.study.endswith(".toml"):
        if options.data:
            raise BadInput(f"--data goes with a model; a study file names its own data, got --data {options.data} with {options.study}")
        return read_spec(Path(options.study))
    name = options.study.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    data = {}
    if options.data:
        data = {split: str(path) for split in ("analysis", "search", "test", "train") if (path := _split(Path(options.data), split))}
        if "analysis" not in data or "search" not in data:
            raise BadInput(f"--data is a folder with analysis and search inside (folders or manifests), got {options.data}")
    settings = {"name": name, "model": {"path": options.study}, "data": data, "space": {"bits": {"average": [3.0, 8.0]}}}
    return make_spec(settings | {"objectives": {"quality": _metric_of(options.study)}}, "default study")


def _metric_of(model: str) -> str:
    """What a model of this kind is judged by: word errors of recognition, chrF of translation. Raises ModelError as loading it does."""
    from paredown.models.locate import locate_model, read_config
    from paredown.models.network import read_task

    return "wer" if read_task(read_config(locate_model(model))) == "asr" else "chrf"


def _split(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.jsonl", folder / f"{name}.tsv"):
        if path.exists():
            return path
    return None
