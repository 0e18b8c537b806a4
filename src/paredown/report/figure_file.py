"""A figure becomes a file: whole or not at all, in the format of its name."""

from pathlib import Path
from typing import TYPE_CHECKING

from paredown.report.latency_figure import check_figure
from paredown.whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure of matplotlib; raises BadInput as `check_figure`."""
    check_figure(path)
    with whole_file(path) as fresh:
        figure.savefig(fresh, dpi=_DPI, format=path.suffix.removeprefix(".").lower())


def as_text(text: str) -> str:
    """A dollar sign begins a formula in matplotlib otherwise."""
    return text.replace("$", r"\$")
