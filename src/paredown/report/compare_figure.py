"""Two systems beside each other as a picture: what each test says of their difference, and how long A takes beside B."""

from typing import TYPE_CHECKING

from paredown.report.compare_table import Comparison
from paredown.report.figure_file import as_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paredown.quality import NonInferiority

_A, _LINE, _MARGIN = "#1f6fb4", "0.35", "#d9822b"
_ROW = 0.42  # inches
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}  # behind figures, so that no line runs through them
_LONGEST = 46  # letters of a name that stand in the title


def draw_comparison(found: Comparison) -> "Figure":
    """Above: A less B with its 95 % interval, once a test, and the margin of non-inferiority; below: latency over that of B, if timed."""
    from matplotlib.figure import Figure

    from paredown.quality.metrics import sign

    timed = _ratios(found)
    effects = _effects(found)
    heights = [len(effects) + 0.8, *([len(timed) + 0.8] if timed else [])]
    figure = Figure(figsize=(8.0, 1.5 + _ROW * sum(heights) + 0.45 * len(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    gain = sign(found.dagger.metric)
    better = ", right is better" if gain > 0 else ", left is better"
    _draw_rows(panels[0], effects, 0.0, f"A - B in {found.unit}{better}", signed=True)
    if found.judgement is not None:
        _draw_margin(panels[0], found.judgement, gain, found.unit)
    if timed:
        _draw_rows(panels[1], timed, 1.0, "latency of A over that of B (left is faster)", signed=False)
    names = [name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}" for name in found.names]
    title = f"A: {names[0]}\nB: {names[1]}\n{found.dagger.utterances} utterances"
    figure.suptitle(as_text(title), x=0.01, ha="left", fontsize=9)
    return figure


def _effects(found: Comparison) -> list[tuple[str, float, tuple[float, float]]]:
    return [(test.test, test.effect, test.ci95) for test in found.tests]


def _ratios(found: Comparison) -> list[tuple[str, float, tuple[float, float]]]:
    """Name, ratio, interval: of whole utterances, and at a fixed number of tokens, where a model that stops early gains nothing."""
    if found.latency is None:
        return []
    a, _ = found.latency
    rows = [("whole utterances", a.free.ratio, a.free.ratio_ci95)]
    return rows + ([(f"at {a.fixed_tokens} tokens", a.fixed.ratio, a.fixed.ratio_ci95)] if a.fixed is not None else [])


def _draw_rows(axes: "Axes", rows: list[tuple[str, float, tuple[float, float]]], neutral: float, label: str, signed: bool) -> None:
    """A point with its interval for each row, the figures beside it; a line at what means no difference."""
    values = [value for _, value, _ in rows]
    reach = [[max(0.0, value - ends[0]) for _, value, ends in rows], [max(0.0, ends[1] - value) for _, value, ends in rows]]
    places = list(range(len(rows)))
    axes.axvline(neutral, color=_LINE, linewidth=1.0)
    axes.errorbar(values, places, xerr=reach, fmt="o", color=_A, ecolor=_A, capsize=4, markersize=6, linewidth=1.6)
    sign = "+" if signed else ""
    digits = 2 if signed else 3
    for place, (_, value, (low, high)) in zip(places, rows, strict=True):
        told = f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
        axes.annotate(told, (value, place), (0, 7), textcoords="offset points", ha="center", va="bottom", fontsize=8, bbox=_PAPER)
    axes.set_yticks(places, [as_text(name) for name, _, _ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.75)
    axes.set_xlabel(as_text(label), fontsize=9)
    axes.margins(x=0.25)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _draw_margin(axes: "Axes", judgement: "NonInferiority", gain: int, unit: str) -> None:
    """The margin, and the one-sided bound of the loss that must not reach it. `gain`: 1 where a higher score is better, else -1."""
    limit, bound = -gain * judgement.margin, -gain * judgement.upper95
    axes.axvline(limit, color=_MARGIN, linestyle="--", linewidth=1.2, label=as_text(f"margin {judgement.margin:g} {unit}"), gid="margin")
    verdict = "within the margin" if judgement.passed else "not shown to be within"
    axes.axvline(bound, color=_A, linestyle=":", linewidth=1.4, label=f"one-sided 95 % bound of the loss: {verdict}", gid="bound")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
