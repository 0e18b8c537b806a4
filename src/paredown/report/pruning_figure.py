"""Pruning curves as a picture, as the first paper's Fig. 4: one line a module group."""

from pathlib import Path
from typing import TYPE_CHECKING

from paredown.report.latency_figure import check_figure

if TYPE_CHECKING:
    from paredown.analysis.pruning import PruningCurves

_MARKS = "os^vD<>ph*XP"  # as many as there are module groups, so that lines of one colour differ


def write_pruning_figure(path: Path, curves: "PruningCurves", title: str) -> None:
    """Value over share of weights at zero; divergences in logarithm, scores with the unpruned model as a line.

    The format is that of the file name; raises BadInput as `check_figure`.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    check_figure(path)
    figure, axes = pyplot.subplots(figsize=(8.0, 5.0), layout="constrained")
    for order, (group, values) in enumerate(zip(curves.groups, curves.values, strict=True)):
        axes.plot(curves.shares, values, marker=_MARKS[order % len(_MARKS)], color=f"C{order % 10}", label=group)
    if curves.metric == "divergence":
        axes.set(ylabel="divergence in nats", yscale="log")
    else:
        axes.axhline(curves.unpruned, color="black", linestyle=":", linewidth=1.0, label="unpruned")
        axes.set(ylabel=curves.metric)
    axes.set(xlabel="share of the group's weights at zero", title=title.replace("$", r"\$"))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
