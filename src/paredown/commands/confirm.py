"""`paredown confirm`: prove on *test* which trials of a study lose nothing worth mentioning, once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.commands.printing import add_json, console, positive_real, print_json, table
from paredown.report.describe import describe
from paredown.search.budget import METRICS
from paredown.search.study_folder import read_study

if TYPE_CHECKING:
    from paredown.search.confirmation import Confirmation, Planned, Verdict
    from paredown.search.spec import StudySpec
    from paredown.search.trial import Trial

_COSTS = {"size": ("size MB", 1e-6, 2), "latency": ("latency ms", 1.0, 1), "energy": ("energy mJ", 1.0, 1)}


def add(subparsers: Any) -> None:
    confirm = subparsers.add_parser("confirm", help="test on data never chosen by which trials lose no more than a margin")
    confirm.add_argument("study", type=Path, metavar="STUDY", help="folder of the study (runs/NAME)")
    confirm.add_argument(
        "--margin", type=positive_real, metavar="POINTS", help="loss allowed, in the study's metric (default 1.0 chrF or BLEU, 0.3 %% WER)"
    )
    confirm.add_argument("--by", choices=tuple(_COSTS), help="the cost that orders trials from mild to aggressive (default size)")
    confirm.add_argument("--data", metavar="DATA", help="the test split (default the study's data.test)")
    add_json(confirm)
    confirm.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Test what the plan has left, or print what was found before: margin, order and data are fixed before the first test."""
    from paredown.commands.telling import Telling
    from paredown.trials.judging import confirm_folder

    spec, trials = read_study(options.study)
    with Telling() as telling:
        record = confirm_folder(options.study, margin=options.margin, by=options.by, data=options.data, tell=telling)
    if options.json:
        print_json(record.to_dict())
    else:
        show(spec, trials, record)
    return 0


def show(spec: "StudySpec", trials: "tuple[Trial, ...]", record: "Confirmation") -> None:
    """A row for each trial of the plan, and what the figures mean."""
    cost, points = _COSTS[record.by][0], METRICS[record.metric]
    columns = ("trial", "made of", cost, "lost on search", "lost on test", "no loss", "differs")
    made_of = {trial.number: describe(trial) for trial in trials}
    verdicts = {verdict.trial: verdict for verdict in record.verdicts}
    rows = [(str(one.trial), made_of[one.trial], *_figures(record, one, verdicts.get(one.trial))) for one in record.order]
    passed = [verdict.trial for verdict in record.verdicts if verdict.passed]
    tested = record.verdicts[0] if record.verdicts else None
    caption = (
        f"{tested.utterances if tested else 0} utterances of {record.split}, points of {points}, against the uncompressed model; "
        f"{len(passed)} of {len(record.order)} confirmed.\n"
        f"No loss: the one-sided 95 % bound of the loss (≤) lies below {record.margin:g} {points}, which was fixed beforehand; tested in "
        "this order up to the first that fails. From: the smallest margin that a trial which loses nothing would have passed.\n"
        f"Differs: p of {tested.dagger_test if tested else 'the test'}, two-sided; † (the papers' dagger): 0.05 or more. From: the "
        "smallest effect that it would have called significant."
    )
    result = table(f"no loss of {spec.name}", columns, rows, caption)
    result.columns[1].justify = "left"
    result.show_lines = True
    console().print(result)


def _figures(record: "Confirmation", planned: "Planned", verdict: "Verdict | None") -> tuple[str, ...]:
    from paredown.report.compare_table import p_text

    _, scale, digits = _COSTS[record.by]
    known = (f"{planned.cost * scale:.{digits}f}", f"{planned.search_loss:+.2f}")
    if verdict is None:
        return (*known, "", "not tested", "")
    test = f"{verdict.loss:+.2f}\n≤ {verdict.upper95:+.2f}\nfrom {verdict.smallest_visible:.2f}"
    dagger = f"p {p_text(verdict.dagger_p)}" + (" †" if verdict.dagger_p >= 0.05 else "")
    return (*known, test, "confirmed" if verdict.passed else "failed", f"{dagger}\nfrom {verdict.dagger_visible:.2f}")
