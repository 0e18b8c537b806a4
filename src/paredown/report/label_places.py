"""Where labels of points go so that none lies on another, nor on a point."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

# Points to the right and above, and how the text is aligned there: the near places first.
_PLACES = tuple(
    (dx * far, dy * far, horizontal, vertical)
    for far in (1.0, 2.2, 3.6)
    for dx, dy, horizontal, vertical in (
        (5, 5, "left", "bottom"),
        (-5, 5, "right", "bottom"),
        (5, -5, "left", "top"),
        (-5, -5, "right", "top"),
        (0, 8, "center", "bottom"),
        (0, -8, "center", "top"),
    )
)
_NEAR = 8.0  # points; a label further off has a line to its point
_LEADER = {"arrowstyle": "-", "linewidth": 0.7, "color": "0.3", "shrinkA": 0.0, "shrinkB": 1.0}
_MARK_PIXELS = 3.0  # half the width of a point


def add_labels(axes: "Axes", points: Sequence[tuple[float, float]], texts: Sequence[str], bold: Sequence[bool]) -> list[str]:
    """Writes each text beside its point [x, y], bold ones first; returns those for which no free place was found, which are left out.

    The limits of the axes must be final.
    """
    from matplotlib.transforms import Bbox

    figure = axes.figure
    figure.canvas.draw()
    inside = axes.get_window_extent()
    marks = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_extents(x - _MARK_PIXELS, y - _MARK_PIXELS, x + _MARK_PIXELS, y + _MARK_PIXELS) for x, y in marks]
    left_out = []
    for index in sorted(range(len(points)), key=lambda index: not bold[index]):
        if not inside.contains(*marks[index]):
            continue
        if not _place(axes, points[index], texts[index], bold[index], taken, inside):
            left_out.append(texts[index])
    return left_out


def _place(axes: "Axes", point: tuple[float, float], text: str, bold: bool, taken: "list[Bbox]", inside: "Bbox") -> bool:
    """Tries one place after the other; adds the box to what is `taken` where one is free."""
    for dx, dy, horizontal, vertical in _PLACES:
        label = axes.annotate(
            text,
            point,
            (dx, dy),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=8,
            fontweight="bold" if bold else "normal",
            arrowprops=_LEADER if max(abs(dx), abs(dy)) > _NEAR else None,
            zorder=6,
        )
        box = label.get_window_extent()
        if inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return True
        label.remove()
    return False
