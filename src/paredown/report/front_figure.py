"""The front as a picture: any two objectives of it, with intervals, budgets and picks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from paredown.errors import BadInput
from paredown.report.figure_file import as_text
from paredown.report.front_figures import is_estimated, scale_of
from paredown.report.front_rows import FrontEntry
from paredown.report.label_places import add_labels
from paredown.search.budget import Budget
from paredown.search.front import non_dominated
from paredown.search.objective import Objective
from paredown.search.pick import PICK_RULES, pick_trial
from paredown.search.trial import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRONT, _MISSES, _DOMINATED, _PICK = "#1f6fb4", "#d9822b", "0.45", "#b3261e"
_LOG_FROM = 3.0  # times from least to largest from which a cost has a logarithmic axis
_MARGIN = 0.08
_LABELLED = 60  # points on the front with which each still has its number


@dataclass(frozen=True)
class FrontPicture:
    """What is drawn. `entries`: all complete trials; `budgets`: lines; `picks`: words for single trials, by the entry's name."""

    title: str
    entries: tuple[FrontEntry, ...]
    objectives: tuple[Objective, ...]
    budgets: tuple[Budget, ...] = ()
    picks: Mapping[str, str] | None = None


def find_objective(name: str, objectives: Sequence[Objective]) -> Objective:
    """The objective of that name: "size", "latency" (of the first target), "latency@cpu", "latency_ms@cpu". Raises BadInput for another."""
    for objective in objectives:
        spoken = objective.name.replace("_ms", "").replace("_mj", "").replace("_bytes", "").replace("_ratio", "")
        if name in (objective.name, spoken, spoken.partition("@")[0]):
            return objective
    raise BadInput(f"an axis of the figure is one of {', '.join(objective.name for objective in objectives)}, got {name!r}")


def picks_of(trials: Sequence[Trial], objectives: Sequence[Objective], budgets: Sequence[Budget]) -> dict[str, str]:
    """By trial the rules that pick it, within the budgets ("knee, smallest"); nothing where no trial keeps them."""
    found: dict[str, str] = {}
    for rule in PICK_RULES[:-1]:  # lossless is confirmed, not drawn
        try:
            number = str(pick_trial(rule, trials, objectives, budgets).number)
        except BadInput:  # no such objective, or nothing within the budgets
            continue
        found[number] = f"{found[number]}, {rule}" if number in found else rule
    return found


def draw_front(picture: FrontPicture, x: Objective, y: Objective) -> "Figure":
    """The picture. Raises BadInput where both axes are one objective or there is nothing to draw."""
    from matplotlib.figure import Figure

    if x == y:
        raise BadInput(f"the axes of the figure must differ, got {x.name} for both")
    if not picture.entries:
        raise BadInput("a figure of the front needs a complete trial, there is none yet")
    figure = Figure(figsize=(8.0, 5.5), layout="constrained")
    axes = figure.add_subplot()
    _draw_points(axes, picture, x, y)
    _draw_line(axes, picture, x, y)
    outside = _set_limits(axes, picture, x, y)
    _draw_budgets(axes, picture.budgets, x, y)
    axes.set(xlabel=_axis_label(x, picture.entries), ylabel=_axis_label(y, picture.entries))
    axes.set_title(as_text(picture.title), loc="left")
    axes.grid(alpha=0.25)
    figure.legend(fontsize="small", loc="outside lower center", ncols=4, frameon=False)
    left_out = _label(axes, picture, x, y)
    told = [f"dominated trials outside the picture: {outside}"] if outside else []
    told += [f"numbers without room: {len(left_out)}"] if left_out else []
    if told:
        axes.text(0.005, 0.008, "; ".join(told), transform=axes.transAxes, fontsize=7, color="0.4", va="bottom")
    return figure


def _values(entries: Sequence[FrontEntry], objective: Objective) -> "np.ndarray":
    """In the unit of the axis, [entries]."""
    order = [list(entry.figures["values"]).index(objective.name) for entry in entries]
    return np.array([entry.point.values[place] for entry, place in zip(entries, order, strict=True)]) / scale_of(objective)


def _errors(entries: Sequence[FrontEntry], objective: Objective) -> "np.ndarray":
    """How far the interval reaches below and above each value, [2, entries]; 0 where there is none."""
    found = []
    for entry, value in zip(entries, _values(entries, objective).tolist(), strict=True):
        assert entry.trial.outcome is not None
        around = entry.trial.outcome.measurement_of[objective.name].ci95
        scale = scale_of(objective)
        found.append((max(0.0, value - around[0] / scale), max(0.0, around[1] / scale - value)) if around else (0.0, 0.0))
    return np.array(found).reshape(len(entries), 2).T


def _draw_points(axes: "Axes", picture: FrontPicture, x: Objective, y: Objective) -> None:
    groups = {
        "dominated": [entry for entry in picture.entries if not entry.point.on_front],
        "on the front": [entry for entry in picture.entries if entry.point.on_front and not entry.missed],
        "on the front, misses a budget": [entry for entry in picture.entries if entry.point.on_front and entry.missed],
    }
    colours = (_DOMINATED, _FRONT, _MISSES)
    for (label, entries), colour in zip(groups.items(), colours, strict=True):
        if not entries:
            continue
        faded = label == "dominated"
        across, up = _values(entries, x), _values(entries, y)
        if not faded:
            axes.errorbar(
                across, up, _errors(entries, y), _errors(entries, x), fmt="none", ecolor=colour, elinewidth=1, alpha=0.4, zorder=3
            )
        size, alpha, order = (16, 0.35, 2) if faded else (34, 1.0, 4)
        name = f"{label} ({len(entries)})"
        axes.scatter(across, up, s=size, color=colour, alpha=alpha, zorder=order, label=name, linewidths=0, gid=label)
    picked = [entry for entry in picture.entries if entry.name in (picture.picks or {})]
    if picked:
        across, up = _values(picked, x), _values(picked, y)
        axes.scatter(across, up, s=110, facecolors="none", edgecolors=_PICK, linewidths=1.5, zorder=5, label="picks", gid="picks")


def _draw_line(axes: "Axes", picture: FrontPicture, x: Objective, y: Objective) -> None:
    """Steps through the trials that none beats in both objectives drawn: what can be had of one at each value of the other."""
    across, up = _values(picture.entries, x), _values(picture.entries, y)
    turned = np.stack([across if x.direction == "minimize" else -across, up if y.direction == "minimize" else -up], axis=1)
    best = np.flatnonzero(non_dominated(turned))
    best = best[np.lexsort((turned[best, 1], turned[best, 0]))]
    where: Literal["post", "pre"] = "post" if x.direction == "minimize" else "pre"
    ordered = best if x.direction == "minimize" else best[::-1]
    axes.step(
        across[ordered], up[ordered], where=where, color=_FRONT, linewidth=1.2, alpha=0.6, zorder=1, label="best of these two", gid="line"
    )


def _set_limits(axes: "Axes", picture: FrontPicture, x: Objective, y: Objective) -> int:
    """Room for the front and the budgets; what is far off does not squeeze them. Returns how many trials lie outside."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    chosen = [entry for entry in picture.entries if entry.point.on_front] or list(picture.entries)
    visible = np.ones(len(picture.entries), dtype=bool)
    for objective, name in ((x, "x"), (y, "y")):
        values, errors = _values(chosen, objective), _errors(chosen, objective)
        limits = [budget.limit / scale_of(objective) for budget in picture.budgets if budget.measure == objective.name]
        ends = np.array([*(values - errors[0]), *(values + errors[1]), *limits])
        low, high = float(ends.min()), float(ends.max())
        log = objective.scale == "log" and low > 0 and high / low >= _LOG_FROM
        if log:
            grown = (high / low) ** _MARGIN
            low, high = low / grown, high * grown
        else:
            grown = (high - low) * _MARGIN or max(abs(high) * _MARGIN, 0.1)
            low, high = low - grown, high + grown
        axis = axes.xaxis if name == "x" else axes.yaxis
        if log:
            axes.set(**{f"{name}scale": "log"})
            axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set(**{f"{name}lim": (low, high)})
        everything = _values(picture.entries, objective)
        visible &= (everything >= low) & (everything <= high)
    return int((~visible).sum())


def _draw_budgets(axes: "Axes", budgets: Sequence[Budget], x: Objective, y: Objective) -> None:
    """A line at each limit, and a shade over what lies behind it."""
    drawn = [(budget, budget.measure == x.name) for budget in budgets if budget.measure in (x.name, y.name)]
    for order, (budget, upright) in enumerate(drawn):
        limit = budget.limit / scale_of(x if upright else y)
        low, high = axes.get_xlim() if upright else axes.get_ylim()
        span = (limit, high) if budget.direction == "minimize" else (low, limit)
        line, shade = (axes.axvline, axes.axvspan) if upright else (axes.axhline, axes.axhspan)
        shade(*span, color=_MISSES, alpha=0.07, linewidth=0, zorder=0)
        line(
            limit,
            color=_MISSES,
            linestyle="--" if order == 0 else ":",
            linewidth=1.2,
            label=f"budget {budget}",
            gid=f"budget {budget.name}",
        )
        axes.set(**{"xlim" if upright else "ylim": (low, high)})


def _label(axes: "Axes", picture: FrontPicture, x: Objective, y: Objective) -> list[str]:
    """The number of every trial on the front, and behind it which rules pick it; returns those without room."""
    picks = picture.picks or {}
    chosen = [entry for entry in picture.entries if entry.point.on_front or entry.name in picks]
    if len(chosen) > _LABELLED:
        chosen = [entry for entry in chosen if entry.name in picks]
    texts = [as_text(f"{entry.name}: {picks[entry.name]}" if entry.name in picks else entry.name) for entry in chosen]
    points = list(zip(_values(chosen, x).tolist(), _values(chosen, y).tolist(), strict=True))
    return add_labels(axes, points, texts, [entry.name in picks for entry in chosen])


def _axis_label(objective: Objective, entries: Sequence[FrontEntry]) -> str:
    """What it is and its unit, and that figures are estimates where some are."""
    kind, _, target = objective.name.partition("@")
    words = {
        "quality": f"quality: difference to the uncompressed model in {objective.unit}",
        "size_bytes": "size in MB",
        "latency_ms": f"latency of an utterance on {target} in ms",
        "energy_mj": f"energy of an utterance on {target} in mJ",
        "latency_ratio": f"latency on {target}, x uncompressed",
        "energy_ratio": f"energy on {target}, x uncompressed",
    }
    told = words.get(kind, f"{objective.name} in {objective.unit}")
    guessed = any(entry.trial.outcome is not None and is_estimated(entry.trial.outcome, objective) for entry in entries)
    return as_text(f"{told} (ESTIMATED)" if guessed else told)
