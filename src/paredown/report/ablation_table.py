"""What each axis of a trial bought, measured: every objective without it, beside the trial as it is (first paper, Fig. 5)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from paredown.report.front_figures import heading, plain
from paredown.report.table import table
from paredown.search.objective import Objective

if TYPE_CHECKING:
    from paredown.trials.ablation import Ablated


def bought(without: "Ablated", whole: "Ablated", objectives: Sequence[Objective]) -> dict[str, float]:
    """By objective what the axis changed: points of quality as a difference, costs as a share of what they would be without it."""
    found = {}
    for objective in objectives:
        here, there = whole.outcome.measurement_of.get(objective.name), without.outcome.measurement_of.get(objective.name)
        if here is not None and there is not None:
            found[objective.name] = here.value / there.value if objective.scale == "log" else here.value - there.value
    return found


def ablation_table(title: str, found: "Sequence[Ablated]", objectives: Sequence[Objective]) -> Table:
    """A row for the trial as it is, which comes first, and one without each axis; objectives that were not measured again are left out."""
    whole = found[0]
    measured = [each for each in objectives if each.name in whole.outcome.measurement_of]
    columns = ("", *map(heading, measured), *(f"bought: {heading(each).partition(' ')[0]}" for each in measured))
    caption = (
        f"{whole.outcome.measurement_of['quality'].samples} utterances of search. "
        "Quality is the difference to the uncompressed model, above 0 where better.\n"
        "Bought: what the axis changed, its row against the first; costs as share of what they would be without it."
    )
    return table(title, columns, (_row(each, whole, measured) for each in found), caption)


def _row(each: "Ablated", whole: "Ablated", objectives: Sequence[Objective]) -> tuple[str, ...]:
    figures = each.outcome.measurement_of
    values = (plain(objective, figures[objective.name], figures[objective.name].value) for objective in objectives)
    return (f"without {each.axis}" if each.axis else "as it is", *values, *_bought(each, whole, objectives))


def _bought(each: "Ablated", whole: "Ablated", objectives: Sequence[Objective]) -> Iterator[str]:
    if not each.axis:
        yield from [""] * len(objectives)
        return
    changes = bought(each, whole, objectives)
    for objective in objectives:
        yield f"x {changes[objective.name]:.3f}" if objective.scale == "log" else f"{changes[objective.name]:+.2f}"
