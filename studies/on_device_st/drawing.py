"""The drawings: a few panels of marks and lines, one colour a series."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path


@dataclass(frozen=True)
class Series:
    """Points (x, y) in order; `names` are written beside them where given."""

    label: str
    points: tuple[tuple[float, float], ...]
    names: tuple[str, ...] = ()
    line: bool = True


@dataclass(frozen=True)
class Panel:
    x: str
    y: str
    series: tuple[Series, ...]


def draw(path: Path, title: str, panels: Sequence[Panel]) -> str:
    """Writes a PNG, panels side by side, and returns its name. Points that are no numbers are left out."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(1.0 + 5.0 * len(panels), 4.6), layout="constrained", squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for order, series in enumerate(panel.series):
            points = [point for point in series.points if all(map(isfinite, point))]
            colour, mark = f"C{order % 10}", "os^vD<>ph*XP"[order % 12]
            axis.plot(
                *zip(*points, strict=True) if points else ((), ()), mark + ("-" if series.line else ""), color=colour, label=series.label
            )
            for name, point in zip(series.names, series.points, strict=False):
                if all(map(isfinite, point)):
                    axis.annotate(name, point, textcoords="offset points", xytext=(5, 4), fontsize="x-small")
        axis.set(xlabel=panel.x, ylabel=panel.y)
        axis.margins(0.12)  # names of points need room
        axis.grid(alpha=0.3)
        if any(series.label for series in panel.series):
            axis.legend(fontsize="small")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path.name
