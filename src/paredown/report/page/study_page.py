"""Writes the page of a study: one HTML file that needs no network, with everything in it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown import __version__
from paredown.data import PREFIX
from paredown.errors import BadInput
from paredown.report.front_rows import FrontEntry, StudyFront, read_front, shown_entries
from paredown.report.output_file import check_output_file
from paredown.report.page.cards import make_card
from paredown.report.page.charts import sensitivity_charts
from paredown.report.page.course import Course, read_course, volumes
from paredown.report.page.document import LIMIT_BYTES, render, weigh, write_document
from paredown.report.page.numbers import tidy
from paredown.report.page.translations import show_heard
from paredown.report.page.trial_rows import CONFIGURATION, TrialRows
from paredown.report.page.verdict import Pick, choose_picks, leading, tell_verdict
from paredown.search.budget import METRICS
from paredown.search.hypervolume import UNCOMPRESSED
from paredown.search.study import read_identity
from paredown.search.trial import Trial
from paredown.trials.kept_texts import machine_of
from paredown.trials.report_facts import ReportFacts, gather_facts

if TYPE_CHECKING:
    from paredown.trials.teller import Teller

DEFAULT = Path("front") / "report.html"
SCHEMA = 1
MOST_CARDS = 80  # whole ones; of other trials the short one, which every row gives
AUDIO_BYTES = 600_000  # as written into the page
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Written:
    """Where the page is, its bytes, how many trials it shows, and what it lacks: for each section why."""

    path: Path
    size_bytes: int
    trials: int
    missing: Mapping[str, str]


def write_page(
    folder: Path, output: Path | None = None, budgets: Sequence[str] = (), tell: Tell = lambda line: None, ablating: "Teller | None" = None
) -> Written:
    """The page of the study in `folder`, by default its `front/report.html`. `tell` gets the slow steps.

    `budgets`: further ones as on the command line ("size=12MB"). Raises BadInput where there is no study, for what is no budget, and where
    the file cannot be written; nothing half-written is left then. `ablating`: measure what each axis bought the first pick, and tell this.
    """
    front, identity = read_front(folder, budgets), read_identity(folder)
    path = _place(folder) if output is None else output
    check_output_file(path, "the report")  # before the work
    picks = choose_picks(front)
    chosen = _interesting(front, picks)
    facts = gather_facts(front.spec, identity, front.trials, chosen, [pick.trial for pick in picks], tell, ablating)
    payload = make_payload(folder, front, identity, picks, facts)
    if weigh(payload) > LIMIT_BYTES:
        _cut(payload)
    left = LIMIT_BYTES - weigh(payload)
    payload["heard"] = show_heard(facts.heard, min(AUDIO_BYTES, left))
    text = render(payload, f"{front.spec.name}: paredown report")
    write_document(path, text)
    return Written(path, len(text.encode()), len(front.trials), facts.missing)


def _place(folder: Path) -> Path:
    """The page inside the study's folder. Raises BadInput where that cannot be written."""
    path = folder / DEFAULT
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"the report {path} cannot be written: {error.strerror}") from error
    return path


def make_payload(folder: Path, front: StudyFront, identity: Mapping[str, Any], picks: Sequence[Pick], facts: ReportFacts) -> dict[str, Any]:
    """All that the page shows but what is listened to, as plain JSON values. Figures are those of `paredown front --json`, to the digit."""
    course, rows = read_course(folder), TrialRows(front)
    cards = {trial.number: trial for trial in _interesting(front, picks)[:MOST_CARDS]}
    shown = shown_entries(front)
    entries = {entry.trial.number: entry for entry in front.entries}
    return {
        "schema": SCHEMA,
        "study": _study(folder, front, identity, picks, course),
        "objectives": [
            {"name": each.name, "direction": each.direction, "unit": each.unit, "scale": each.scale} for each in front.objectives
        ],
        "budgets": [
            {"name": each.name, "measure": each.measure, "limit": each.limit, "direction": each.direction, "text": str(each)}
            for each in front.budgets
        ],
        "picks": [{"rule": pick.rule, "trial": pick.trial.number} for pick in picks],
        "layers": rows.layers,
        "paths": rows.paths,
        "trials": [rows.row(trial, entries.get(trial.number), course.ended.get(trial.number)) for trial in front.trials],
        "cards": {
            str(number): make_card(trial, front, facts.anatomies.get(number), facts.ablations.get(number, ()))
            for number, trial in cards.items()
        },
        "front": [_without_configuration(entry) for entry in shown],
        "volume": volumes(front),
        "charts": sensitivity_charts(facts.analyses),
        "missing": dict(facts.missing),
    }


def _study(folder: Path, front: StudyFront, identity: Mapping[str, Any], picks: Sequence[Pick], course: Course) -> dict[str, Any]:
    """The heading: what was studied, on what, and what came out."""
    spec, states = front.spec, [trial.state for trial in front.trials]
    best, machine = leading(picks, front.budgets), machine_of(identity)
    return {
        "name": spec.name,
        "command": f"paredown export {shlex.quote(str(folder))} --trial",
        "shell_folder": shlex.quote(str(folder)),
        "output": shlex.quote(spec.name),
        "model": spec.model.path,
        "split": spec.data.search or (f"{spec.model.path}/search" if spec.model.path.startswith(PREFIX) else "not named"),
        "metric": METRICS[spec.objectives.quality],
        "counts": {state: states.count(state) for state in ("complete", "stopped", "rejected", "interrupted", "running")},
        "on_front": sum(entry.point.on_front for entry in front.entries),
        "planned": spec.search.trials,
        "verdict": tell_verdict(front, best),
        "leading": None if best is None else best.trial.number,
        "sampler": course.sampler or spec.search.sampler,
        "seed": spec.search.seed,
        "seconds": course.seconds,
        "ended": course.last,
        "final": None if front.final is None else {"split": front.final.split, "looks": list(front.final.looks)},
        "warning": None if front.final is None else front.final.warning(sum(trial.is_finished for trial in front.trials)),
        "confirmed_on": None if front.record is None else front.record.split,
        "target": None if machine is None else machine.digest,
        "identity": {name: tidy(value) for name, value in identity.items() if name != "objectives"},
        "made_by": {"name": "paredown", "version": __version__},
    }


def _interesting(front: StudyFront, picks: Sequence[Pick]) -> list[Trial]:
    """Trials that get a whole card: picks, the front, the uncompressed model, then those that miss the front by least in quality."""
    shown = [entry.trial for entry in shown_entries(front)]
    rest = sorted((entry for entry in front.entries), key=_loss)
    plain = [trial for trial in front.trials if trial.label == UNCOMPRESSED and trial.outcome is not None]
    everything = [*(pick.trial for pick in picks), *plain, *shown, *(entry.trial for entry in rest)]
    return list({trial.number: trial for trial in everything}.values())


def _cut(payload: dict[str, Any]) -> None:
    """Of a study of thousands of trials those without a card keep their figures alone; `paredown show` has the rest."""
    for row in payload["trials"]:
        if str(row["n"]) not in payload["cards"]:
            for name in CONFIGURATION:
                row.pop(name, None)
            row["cut"] = True


def _loss(entry: FrontEntry) -> tuple[bool, float]:
    return (not entry.point.feasible, -entry.point.values[0])


def _without_configuration(entry: FrontEntry) -> dict[str, Any]:
    """A row of `front --json`; what it was made of stands with the trials, in fewer bytes."""
    return {name: value for name, value in entry.to_dict().items() if name != "configuration"}
