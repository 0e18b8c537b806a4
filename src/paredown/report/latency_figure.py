"""The distribution of latencies as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.report.histogram import bin_edges
from paredown.report.output_file import check_output_file

FORMATS = ("png", "svg", "pdf")
_BINS = 30


def check_figure(path: Path) -> None:
    """Raises BadInput where no figure could be written, before anything is measured for it."""
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise BadInput(f"a figure ends in one of {', '.join(FORMATS)}, got {path}")
    check_output_file(path, "a figure")


def write_latency_figure(path: Path, samples_ms: Mapping[str, NDArray[np.float64]], title: str) -> None:
    """Histograms above, cumulative shares below, one colour a candidate; lines mark medians and 90th percentiles.

    `samples_ms`: name -> latencies of single runs. The format is that of the file name.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    check_figure(path)
    figure, (upper, lower) = pyplot.subplots(2, 1, sharex=True, figsize=(8.0, 6.0), layout="constrained")
    edges = bin_edges(np.concatenate([samples.ravel() for samples in samples_ms.values()]), _BINS)
    for order, (name, samples) in enumerate(samples_ms.items()):
        ordered, colour = np.sort(samples.ravel()), f"C{order}"
        median, p90 = np.quantile(ordered, (0.5, 0.9))
        upper.hist(ordered, edges, alpha=0.6, color=colour, label=f"{_plain(name)}: median {median:.1f} ms, 90th percentile {p90:.1f} ms")
        lower.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color=colour)
        for value, style in ((median, "-"), (p90, ":")):
            lower.axvline(value, color=colour, linestyle=style, linewidth=1.0)
    upper.set(ylabel="runs", title=_plain(title))
    upper.legend()
    lower.set(xlabel="latency of an utterance in ms", ylabel="share of runs", ylim=(0.0, 1.0), xlim=(edges[0], edges[-1]))
    lower.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _plain(text: str) -> str:
    """A dollar sign begins a formula otherwise, and a leading underscore hides a line from the legend."""
    return f" {text}".replace("$", r"\$") if text.startswith("_") else text.replace("$", r"\$")
