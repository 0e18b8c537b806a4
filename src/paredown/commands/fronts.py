"""`paredown front` and `status`: what a study found. They only read, so a running study can be watched."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_budgets, add_json, console, megabytes, print_json, table
from paredown.errors import BadInput
from paredown.search.budget import METRICS

if TYPE_CHECKING:
    from paredown.search.budget import Budget
    from paredown.search.confirmation import Confirmation
    from paredown.search.front import FrontPoint
    from paredown.search.objective import Objective
    from paredown.search.outcome import Outcome
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial


def add(subparsers: Any) -> None:
    front = subparsers.add_parser("front", help="the trials no other trial dominates, with intervals")
    front.add_argument("study", type=Path, metavar="STUDY", help="folder of the study (runs/NAME)")
    add_budgets(front)
    front.add_argument("--all", action="store_true", help="every complete trial, not the front alone")
    add_json(front)
    front.set_defaults(run=run_front)

    status = subparsers.add_parser("status", help="studies on this disk: state, size, best point")
    status.add_argument("folder", type=Path, nargs="?", default=Path("runs"), metavar="DIR")
    add_json(status)
    status.set_defaults(run=run_status)


def read_study(folder: Path) -> tuple["StudySpec", tuple["Trial", ...]]:
    """The file and the trials of a study. Raises BadInput where there is none."""
    from paredown.search.study import read_trials
    from paredown.search.study_file import read_spec

    if not (folder / "study.db").is_file():
        raise BadInput(f"a study is a folder with a study.db, as `paredown run` makes it; {folder} is none")
    return read_spec(folder / "study.toml"), read_trials(folder)


def budgets_of(spec: "StudySpec", options: Sequence[str]) -> tuple["Budget", ...]:
    """The study's own budgets, those of the command line in their place where both name the same.

    Raises BadInput for what is no budget, and for one on energy where the study has none.
    """
    from paredown.search.budget import make_budget, parse_budget_option

    limits: dict[str, str | float] = dict(spec.budgets.given) | dict(parse_budget_option(option) for option in options)
    if "energy@cpu" in limits and not spec.objectives.energy:
        raise BadInput(f"a budget on energy@cpu needs a study that counted energy, {spec.name} did not; got {limits['energy@cpu']!r}")
    return tuple(make_budget(name, limit, spec.objectives.quality) for name, limit in limits.items())


def find_trial(trials: Sequence["Trial"], number: int) -> "Trial":
    """The trial of that number; raises BadInput if the study has none."""
    for trial in trials:
        if trial.number == number:
            return trial
    raise BadInput(
        f"the study has the trials 0 to {len(trials) - 1}, got {number}" if trials else f"the study has no trial yet, got {number}"
    )


def run_front(options: argparse.Namespace) -> int:
    """Print the front, best quality first."""
    from paredown.search.confirmation import read_confirmation
    from paredown.search.front import make_front

    spec, trials = read_study(options.study)
    record, objectives = read_confirmation(options.study), spec.objective_list
    points = make_front(trials, objectives, budgets_of(spec, options.budget))
    chosen = [point for point in points if options.all or point.on_front]
    chosen.sort(key=lambda point: objectives[0].loss(point.values[0]))
    if options.json:
        print_json([point.to_dict(objectives) | {"confirmed": None if record is None else record.passed(point.trial)} for point in chosen])
        return 0
    on_front = ["on front"] if options.all else []
    headings = [_heading(objective, chosen) for objective in objectives]
    columns = ("trial", "made of", *on_front, *headings, "x at fixed tokens", "tokens", "feasible", *(["no loss"] if record else []))
    caption = (
        f"{len(points)} trials complete, {sum(point.on_front for point in points)} on the front. "
        "Quality is the difference to the uncompressed model, above 0 where better; brackets hold 95 % intervals;\n"
        "latency is of one load of each model: where it lies in memory, 1 to 4 %, is not in its interval;\n"
        "'x at fixed tokens' is latency over the uncompressed model's, both decoding the same number of tokens; tokens: mean decoded."
    )
    if record is not None:
        margin = f"{record.margin:g} {METRICS[record.metric]}"
        caption += f"\nNo loss: tested on {record.split} within {margin}, fixed beforehand; no entry: not tested (see paredown confirm)."
    rows = ((*_row(point, objectives, options.all), *_confirmed(point, record)) for point in chosen)
    result = table(f"front of {spec.name}", columns, rows, caption)
    result.columns[1].justify = "left"
    console().print(result)
    return 0


def _heading(objective: "Objective", points: "Sequence[FrontPoint]") -> str:
    """Name and unit, and whether the figures of the column are estimates."""
    outcomes = [point.trial.outcome for point in points if point.trial.outcome is not None]
    estimated = any(objective.name in outcome.estimated for outcome in outcomes)
    name = "size MB" if objective.name == "size_bytes" else f"{objective.name.replace('_ms', '').replace('_mj', '')} {objective.unit}"
    return f"{name}, ESTIMATED" if estimated else name


def _row(point: "FrontPoint", objectives: Sequence[Any], with_front: bool) -> tuple[str, ...]:
    assert point.trial.outcome is not None
    figures = []
    for objective, value in zip(objectives, point.values, strict=True):
        interval = point.trial.outcome.measurement_of[objective.name].ci95
        scale, digits = (1e6, 2) if objective.unit == "bytes" else (1.0, 2 if objective.name == "quality" else 1)
        shown = f"{value / scale:+.{digits}f}" if objective.name == "quality" else f"{value / scale:.{digits}f}"
        around = f" [{interval[0] / scale:.{digits}f}, {interval[1] / scale:.{digits}f}]" if interval else ""
        figures.append(shown + around)
    on_front = ["yes" if point.on_front else ""] if with_front else []
    feasible = "yes" if point.feasible else "no"
    return (str(point.trial.number), describe(point.trial), *on_front, *figures, *_decoded(point.trial.outcome), feasible)


def _confirmed(point: "FrontPoint", record: "Confirmation | None") -> tuple[str, ...]:
    """Whether a trial was confirmed on *test*, nothing where it was not tested; no cell where the study was not confirmed."""
    return () if record is None else ({True: "yes", False: "no", None: ""}[record.passed(point.trial)],)


def _decoded(outcome: "Outcome") -> tuple[str, str]:
    """Latency over the reference's at a fixed number of tokens, and the mean tokens: a damaged model that stops early is not fast."""
    measured = outcome.measurement_of
    ratio = measured["latency_ms@cpu"].detail_of.get("fixed_tokens_ratio") if "latency_ms@cpu" in measured else None
    tokens = measured["quality"].detail_of.get("tokens")
    return (f"{ratio:.2f}" if isinstance(ratio, float) else "", f"{tokens:.1f}" if isinstance(tokens, float) else "")


_KNOB_WORDS = {
    "width.eta": "widths at eta",
    "rank.eta": "ranks at eta",
    "input.hop_samples": "hop",
    "decode.beam_size": "beam",
    "decode.ctc_weight": "CTC weight",
    "decode.length_bonus": "length bonus",
}


def describe(trial: "Trial") -> str:
    """What a trial's configuration is, in a few words: its label if it was given, else its knobs."""
    knobs = trial.candidate.knobs
    trained = [_trained(trial)] if trial.configuration.trainings else []
    if not knobs or trial.label.startswith(("uniform", "uncompressed")):
        return "; ".join([trial.label, *trained])
    kept = dict(knobs)
    parts = [f"{kept.pop('bits.average'):.2f} bits"] if "bits.average" in kept else []
    parts += [f"{int(value)} {name.removeprefix('layers.')} blocks" for name, value in kept.items() if name.startswith("layers.")]
    zeros = [f"{_part(name)} {value:.0%}" for name, value in kept.items() if name.startswith("sparsity.") and value]
    parts += [f"{kept['heads.share']:.0%} of the heads gone"] if kept.get("heads.share") else []
    parts += [f"{words} {kept[name]:g}" for name, words in _KNOB_WORDS.items() if name in kept]
    heard = trial.configuration.input
    parts += [f"{heard.sample_rate_hz} Hz {heard.variant}"] if heard.sample_rate_hz is not None else []
    return "; ".join([*parts, *(["zeros: " + ", ".join(zeros)] if zeros else []), *trained])


def _trained(trial: "Trial") -> str:
    """Kind and length of its training, all stages together; the weights it started from may have been trained before."""
    from paredown.search.units import format_duration

    stages = trial.configuration.trainings
    kinds = " and ".join(dict.fromkeys(stage.kind for stage in stages))
    minutes, steps = sum(stage.minutes or 0.0 for stage in stages), sum(stage.steps or 0 for stage in stages)
    lengths = ([format_duration(60.0 * minutes)] if minutes else []) + ([f"{steps} steps"] if steps else [])
    return f"{kinds} {' and '.join(lengths)}"


def _part(knob: str) -> str:
    """What a share of zeros is of: a module group, or all that the study names, ranked together."""
    name = knob.removeprefix("sparsity.")
    return "all groups" if name == "share" else name


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
