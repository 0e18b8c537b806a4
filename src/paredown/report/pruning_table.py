"""Pruning curves as rows of text: one a group, its values, and their shape in one word."""

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paredown.analysis.pruning import PruningCurves

_EIGHTHS = "▁▂▃▄▅▆▇█"
_DECADES = 4  # divergences further below the largest are shown alike
_LOWER_IS_BETTER = ("divergence", "wer")


def pruning_columns(curves: "PruningCurves") -> tuple[str, ...]:
    """The headings of `pruning_table`."""
    return ("module group", *(f"{100 * share:.0f} %" for share in curves.shares), "curve")


def pruning_table(curves: "PruningCurves") -> list[tuple[str, ...]]:
    """A row for each group, the one that loses most first: its name, the value at each share, and a line of blocks.

    Divergences are drawn in logarithm, scores between nothing and the best or (error rates) the worst value; all groups on one scale.
    """
    divergence = curves.metric == "divergence"
    order = sorted(
        range(len(curves.groups)), key=lambda row: float(curves.values[row].sum()) * (-1 if curves.metric in _LOWER_IS_BETTER else 1)
    )
    most = max(float(curves.values.max(initial=0.0)), curves.unpruned)
    form = "{:.2e}" if divergence else "{:.1f}"
    rows = []
    for row in order:
        values = curves.values[row].tolist()
        heights = [_logarithmic(value, most) if divergence else value / most if most else 0.0 for value in values]
        rows.append((curves.groups[row], *(form.format(value) for value in values), sparkline(heights)))
    return rows


def sparkline(heights: Sequence[float]) -> str:
    """A block for each height in [0, 1]."""
    return "".join(_EIGHTHS[min(len(_EIGHTHS) - 1, int(max(0.0, height) * len(_EIGHTHS)))] for height in heights)


def _logarithmic(value: float, most: float) -> float:
    """1 at the largest value, 0 where it is `_DECADES` smaller, or nothing at all."""
    return max(0.0, 1.0 + log10(value / most) / _DECADES) if value > 0 else 0.0
