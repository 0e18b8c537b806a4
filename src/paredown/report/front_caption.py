"""What stands below a front: what its columns mean, what was stopped early, and what is nearest where no trial keeps the budgets."""

from collections.abc import Sequence

from paredown.profilers.measurement import Measurement
from paredown.search.budget import Budget
from paredown.search.final import Final
from paredown.search.front import FrontPoint
from paredown.search.joint import Entry, JointFront
from paredown.search.misses import nearest_to
from paredown.search.trial import Trial
from paredown.search.units import format_value

QUALITY = "Quality is the difference to the uncompressed model, above 0 where better."


def joint_caption(front: JointFront, entries: Sequence[Entry]) -> list[str]:
    """The lines below a front of several studies."""
    found = {entry.name: [each.point for each in front.points if each.study == entry.name] for entry in entries}
    counts = [
        f"{name}: {len(points)} trials complete, {sum(point.on_front for point in points)} on the front" for name, points in found.items()
    ]
    return [
        *(f"{note[0].upper()}{note[1:]}." for note in front.notes),
        f"{'; '.join(counts)}. {QUALITY}",
        *notes([each.point for each in front.points], alike=any(each.indistinguishable for each in front.points)),
        *(["Within budget: the budgets of its own study, as measured there."] if any(entry.budgets for entry in entries) else []),
        *(line for entry in entries for line in told_stopped(entry.name, entry.trials)),
    ]


def notes(points: Sequence[FrontPoint], alike: bool = False) -> list[str]:
    """What a reader must know of the columns."""
    lines = ["Latency is of one load of each model: where it lies in memory, 1 to 4 %, is not in its interval."]
    if any("fixed_tokens_ratio" in figure.detail_of for point in points for figure in _figures(point)):
        lines.append(
            "'x at fixed tokens': latency over the uncompressed model's, both decoding the same number of tokens; tokens: mean decoded."
        )
    if alike or any(point.indistinguishable for point in points):
        lines.append("≈ lists trials that this one is not shown to beat in anything: where it is better, the 95 % intervals meet.")
    return lines


def _figures(point: FrontPoint) -> list[Measurement]:
    return [] if point.trial.outcome is None else [figure for _, figure in point.trial.outcome.measurements]


def nothing_kept(trials: Sequence[Trial], budgets: Sequence[Budget], nothing: bool) -> list[str]:
    """Where no trial keeps the budgets, what comes nearest to each of them, trials that were stopped early among them."""
    if not nothing:
        return []
    limits = ", ".join(str(budget) for budget in budgets)
    parts = []
    for budget in budgets:
        found = nearest_to(budget, trials)
        if found is not None:
            trial, value = found
            stopped = ", stopped early" if trial.state == "stopped" else ""
            parts.append(f"{budget.name} {format_value(value, budget.unit)} (trial {trial.number}{stopped})")
    return [f"NO TRIAL KEEPS {limits}: those that miss least come first. Best of each: {', '.join(parts)}."]


def count_stopped(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials the search itself ended early: raced out once quality was judged on some utterances, or by their costs before."""
    stopped = [trial.partial for trial in trials if trial.state == "stopped"]
    raced = sum(partial is not None and {"quality", "loss"} & partial.measurement_of.keys() != set() for partial in stopped)
    return {"raced_out": raced, "over_budget": len(stopped) - raced, "of": sum(trial.is_finished for trial in trials)}


def told_stopped(name: str, trials: Sequence[Trial]) -> list[str]:
    """One line on what was stopped early, none where nothing was."""
    count = count_stopped(trials)
    both = count["raced_out"] + count["over_budget"]
    told = f"{both} of {count['of']} trials were stopped early: {count['raced_out']} raced out, {count['over_budget']} over budget."
    return [f"{name}: {told}"] if both else []


def told_final(record: Final | None, trials: Sequence[Trial]) -> list[str]:
    """What the final figures are, none where there are none yet; and whether test was looked at before the search went on."""
    if record is None:
        return []
    quality = f"test: quality on {record.split}. " if record.split else ""
    lines = [f"strict: costs measured again as strictly as can be. {quality}Nothing is chosen by these (see paredown finish)."]
    warning = record.warning(sum(trial.is_finished for trial in trials))
    return [*lines, f"Warning: {warning}."] if warning is not None else lines
