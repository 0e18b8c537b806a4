"""What came out of a study, in a sentence: the picks, and the one that leads."""

from collections.abc import Sequence
from dataclasses import dataclass

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.report.front_rows import StudyFront
from paredown.search.budget import Budget
from paredown.search.hypervolume import UNCOMPRESSED
from paredown.search.misses import least_violating
from paredown.search.pick import PICK_RULES, pick_trial
from paredown.search.trial import Trial
from paredown.search.units import format_size


@dataclass(frozen=True)
class Pick:
    """A rule of `paredown export --pick`, and the trial that it picks."""

    rule: str
    trial: Trial


def choose_picks(front: StudyFront) -> tuple[Pick, ...]:
    """What every rule picks within the budgets; the one that leads comes first. A rule that picks nothing is left out."""
    found = []
    for rule in PICK_RULES:
        try:
            found.append(Pick(rule, pick_trial(rule, front.trials, front.objectives, front.budgets, front.record)))
        except BadInput:  # no such objective, nothing confirmed, or nothing keeps the budgets
            continue
    first = leading(found, front.budgets)
    return tuple(sorted(found, key=lambda pick: pick is not first))


def leading(picks: Sequence[Pick], budgets: Sequence[Budget]) -> Pick | None:
    """The smallest where only quality is limited, the best where a cost is, else the knee; None where nothing keeps the budgets."""
    costs, quality = any(not budget.is_quality for budget in budgets), any(budget.is_quality for budget in budgets)
    wanted = "best" if costs else "smallest" if quality else "knee"
    by_rule = {pick.rule: pick for pick in picks}
    return by_rule.get(wanted) or by_rule.get("knee") or next(iter(picks), None)


_LEADS = {
    "smallest": "The smallest",
    "best": "The best",
    "knee": "The best compromise",
    "fastest": "The fastest",
    "frugal": "The frugalest",
}


def tell_verdict(front: StudyFront, pick: Pick | None) -> str:
    """One or two sentences: what leads, how large, how good and how fast it is, beside the uncompressed model."""
    limits = " and ".join(str(budget) for budget in front.budgets)
    if pick is None or pick.trial.outcome is None:
        near = least_violating(front.trials, front.budgets) if front.budgets else ()
        if not near:
            return "No trial is complete yet."
        return f"No trial keeps {limits}; trial {near[0].number} comes nearest."
    figures = pick.trial.outcome.measurement_of
    plain = next((trial.outcome for trial in front.trials if trial.label == UNCOMPRESSED and trial.outcome is not None), None)
    base = {} if plain is None else plain.measurement_of
    parts = [_size(figures.get("size_bytes"), base.get("size_bytes")), _quality(figures.get("quality"))]
    parts += [_latency(name, figures[name], base.get(name)) for name in figures if name.startswith("latency_ms@")]
    whom = f"{_LEADS.get(pick.rule, pick.rule)} with {limits}" if limits else _LEADS.get(pick.rule, pick.rule)
    told = "; ".join(part for part in parts if part)
    return f"{whom} is trial {pick.trial.number}: {told}."


def _size(figure: Measurement | None, base: Measurement | None) -> str:
    if figure is None:
        return ""
    share = f", {100 * figure.value / base.value:.1f} % of the uncompressed {format_size(base.value)}" if base is not None else ""
    return f"{format_size(figure.value)}{share}"


def _quality(figure: Measurement | None) -> str:
    if figure is None:
        return ""
    around = f" [{figure.ci95[0]:+.2f}, {figure.ci95[1]:+.2f}]" if figure.ci95 else ""
    return f"quality {figure.value:+.2f} {figure.unit}{around} on search"


def _latency(name: str, figure: Measurement, base: Measurement | None) -> str:
    around = f" [{figure.ci95[0]:.1f}, {figure.ci95[1]:.1f}]" if figure.ci95 else ""
    ratio = f", {figure.value / base.value:.2f} of the uncompressed model's" if base is not None else ""
    unsure = " (estimated)" if figure.provenance == "estimated" else ""
    return f"{figure.value:.1f} ms{around} on {name.partition('@')[2]}{ratio}{unsure}"
