"""`paredown front` and `status`: what studies found. They only read, so a running study can be watched."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_budgets, add_json, console, megabytes, print_json, table
from paredown.errors import BadInput
from paredown.search.budget import METRICS

if TYPE_CHECKING:
    from paredown.report.front_table import FrontRow
    from paredown.search.budget import Budget
    from paredown.search.confirmation import Confirmation
    from paredown.search.final import Final
    from paredown.search.front import FrontPoint
    from paredown.search.joint import Entry
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial


def add(subparsers: Any) -> None:
    front = subparsers.add_parser("front", help="the trials no other trial dominates, with intervals")
    front.add_argument("study", type=Path, nargs="+", metavar="STUDY", help="folder of the study (runs/NAME); several come on one front")
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
    """Print the front of a study, or of several together, best quality first."""
    return _show_one(options) if len(options.study) == 1 else _show_several(options)


def _show_one(options: argparse.Namespace) -> int:
    from paredown.report.front_caption import QUALITY, count_stopped, notes, nothing_kept, told_final, told_stopped
    from paredown.report.front_table import front_table
    from paredown.search.confirmation import read_confirmation
    from paredown.search.final import read_final
    from paredown.search.front import make_front

    (folder,) = options.study
    spec, trials = read_study(folder)
    record, final = read_confirmation(folder), read_final(folder)
    objectives, budgets = spec.objective_list, budgets_of(spec, options.budget)
    points = make_front(trials, objectives, budgets)
    nearest = _nearest(trials, budgets) if not any(point.feasible for point in points) else {}
    chosen = [point for point in points if options.all or point.on_front or point.trial.number in nearest]
    last = len(nearest)
    chosen.sort(key=lambda point: (nearest.get(point.trial.number, last), objectives[0].loss(point.values[0])))
    if options.json:
        own = {"study": spec.name, "stopped_early": count_stopped(trials)}
        judged = [_misses(point, budgets) | _confirmed(point, record) | _final(point, final, trials) for point in chosen]
        print_json([point.to_dict(objectives) | more | own for point, more in zip(chosen, judged, strict=True)])
        return 0
    caption = [
        f"{len(points)} trials complete, {sum(point.on_front for point in points)} on the front. {QUALITY}",
        *nothing_kept(trials, budgets, bool(nearest)),
        *notes(points),
        *told_stopped(spec.name, trials),
        *told_final(final, trials),
    ]
    if record is not None:
        margin = f"{record.margin:g} {METRICS[record.metric]}"
        caption.append(f"No loss: tested on {record.split} within {margin}, fixed beforehand; no entry: not tested (see paredown confirm).")
    rows = [_row(point, budgets, options.all, record, final) for point in chosen]
    console().print(front_table(f"front of {spec.name}", rows, objectives, "\n".join(caption)))
    return 0


def _show_several(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from paredown.report.front_caption import count_stopped, joint_caption
    from paredown.report.front_table import front_table
    from paredown.search.joint import join

    entries = _entries(options.study, options.budget)
    budgets_by = {entry.name: entry.budgets for entry in entries}
    front = join(entries)
    chosen = [each for each in front.points if options.all or each.point.on_front]
    chosen.sort(key=lambda each: front.objectives[0].loss(each.point.values[0]))
    if options.json:
        stopped = {entry.name: {"stopped_early": count_stopped(entry.trials)} for entry in entries}
        found = [each.to_dict(front.objectives) | _misses(each.point, budgets_by[each.study]) | stopped[each.study] for each in chosen]
        print_json(found)
        return 0
    rows = [
        replace(
            _row(each.point, budgets_by[each.study], options.all, None),
            trial=f"{each.study} {each.point.trial.number}",
            alike=_listed([f"{study} {trial}" for study, trial in each.indistinguishable]),
        )
        for each in chosen
    ]
    names = " and ".join(entry.name for entry in entries)
    console().print(front_table(f"front of {names}", rows, front.objectives, "\n".join(joint_caption(front, entries))))
    return 0


def _entries(folders: Sequence[Path], options: Sequence[str]) -> "list[Entry]":
    """The studies to compare, labelled by their names, or by their folders where two have the same name."""
    from paredown.search.joint import Entry
    from paredown.search.study import read_identity

    read = [(folder, *read_study(folder)) for folder in folders]
    names = [spec.name for _, spec, _ in read]
    return [
        Entry(
            spec.name if names.count(spec.name) == 1 else str(folder),
            trials,
            spec.objective_list,
            budgets_of(spec, options),
            read_identity(folder),
            spec.objectives.quality,
        )
        for folder, spec, trials in read
    ]


_LISTED = 3  # of the trials that one is not told apart from; JSON has all


def _nearest(trials: Sequence["Trial"], budgets: "Sequence[Budget]") -> dict[int, int]:
    """Of the trials that come nearest to the budgets the numbers, with their order."""
    from paredown.search.misses import least_violating

    return {trial.number: order for order, trial in enumerate(least_violating(trials, budgets))} if budgets else {}


def _misses(point: "FrontPoint", budgets: "Sequence[Budget]") -> dict[str, Any]:
    """By how much it misses which budget, in the budget's base unit; nothing where it keeps all."""
    from paredown.search.misses import misses

    assert point.trial.outcome is not None
    found = {miss.budget.name: miss.beyond for miss in misses(budgets, point.trial.outcome)}
    return {"misses": found} if found else {}


def _row(
    point: "FrontPoint", budgets: "Sequence[Budget]", with_front: bool, record: "Confirmation | None", final: "Final | None" = None
) -> "FrontRow":
    from paredown.report.front_table import FrontRow
    from paredown.search.misses import misses

    assert point.trial.outcome is not None
    missed = ", ".join(str(miss) for miss in misses(budgets, point.trial.outcome))
    found = None if final is None else final.find(point.trial)
    return FrontRow(
        trial=str(point.trial.number),
        made_of=describe(point.trial),
        outcome=point.trial.outcome,
        values=point.values,
        feasible=f"no: {missed}" if missed else "yes",
        alike=_listed([str(number) for number in point.indistinguishable]),
        on_front=("yes" if point.on_front else "") if with_front else None,
        confirmed=None if record is None else {True: "yes", False: "no", None: ""}[record.passed(point.trial)],
        final={} if found is None else found.strict.measurement_of | found.test.measurement_of,
    )


def _listed(names: Sequence[str]) -> str:
    """The first of them, and how many more there are: JSON has all."""
    return ", ".join(names[:_LISTED]) + (f" +{len(names) - _LISTED}" if len(names) > _LISTED else "")


def _confirmed(point: "FrontPoint", record: "Confirmation | None") -> dict[str, Any]:
    """Whether a trial was confirmed on *test*, None where it was not tested."""
    return {"confirmed": None if record is None else record.passed(point.trial)}


def _final(point: "FrontPoint", record: "Final | None", trials: "Sequence[Trial]") -> dict[str, Any]:
    """Its costs measured strictly and its quality on test, None where `paredown finish` did not get to it."""
    found = None if record is None else record.find(point.trial)
    if record is None or found is None:
        return {"final": None}
    figures = {kind: figures for kind, figures in found.to_dict().items() if kind in ("strict", "test")}
    return {"final": figures | {"searched_after_test": record.searched_after_test(sum(trial.is_finished for trial in trials))}}


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
