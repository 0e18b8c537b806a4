"""The picture of a comparison has its figures: effects, intervals, margin, bound, and the ratio of latency."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from paredown.profilers.latency.timing import Latency, Timing
from paredown.quality import NonInferiority, Significance
from paredown.report.compare_figure import draw_comparison
from paredown.report.compare_table import Comparison

TESTS = (
    Significance("paired bootstrap", "chrf", -0.4, (-0.9, 0.1), 0.12, 200, 0.5),
    Significance("paired approximate randomization", "chrf", -0.4, (-0.9, 0.1), 0.11, 200, 0.5),
)
JUDGED = NonInferiority("chrf", 1.0, 0.4, 0.8, True, 200, 0.4, -0.8)
A = Latency(
    Timing(50.0, None, (48.0, 52.0), 0.8, (0.77, 0.84), 24, 15.0), Timing(30.0, None, (29.0, 31.0), 0.9, (0.88, 0.93), 24, 16.0), 16
)
B = Latency(Timing(62.0, None, (60.0, 64.0), 1.0, (1.0, 1.0), 24, 15.0))


def comparison(
    judged: NonInferiority | None, latency: tuple[Latency, Latency] | None, tests: tuple[Significance, ...] = TESTS
) -> Comparison:
    return Comparison(("a/$1_$", "b" * 90), "chrF", (51.6, 52.0), "signature", tests, tests[0], judged, latency, ())


def points(axes: Axes) -> list[tuple[float, float, float]]:
    """Value and both ends of each row, as drawn."""
    (container,) = axes.containers
    assert isinstance(container, ErrorbarContainer)
    line, _, (bars,) = container.lines
    ends = [np.asarray(segment)[:, 0].tolist() for segment in bars.get_segments()]
    return [(value, *pair) for value, pair in zip(np.asarray(line.get_xdata()).tolist(), ends, strict=True)]


def test_every_figure_is_drawn() -> None:
    figure = draw_comparison(comparison(JUDGED, (A, B)))
    upper, lower = figure.axes
    assert [pytest.approx(row) for row in points(upper)] == [(-0.4, -0.9, 0.1)] * 2
    assert [pytest.approx(row) for row in points(lower)] == [(0.8, 0.77, 0.84), (0.9, 0.88, 0.93)]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["whole utterances", "at 16 tokens"]
    lines = {line.get_gid(): line.get_xdata()[0] for line in upper.lines if line.get_gid()}  # type: ignore[index]
    assert lines == {"margin": -1.0, "bound": -0.8}  # to the left: chrF is better where higher
    assert upper.get_xlabel() == "A - B in chrF, right is better"


def test_of_an_error_rate_the_margin_lies_to_the_right() -> None:
    wer = tuple(Significance(test.test, "wer", 0.2, (-0.1, 0.5), 0.3, 200, 0.3) for test in TESTS)
    (axes,) = draw_comparison(comparison(NonInferiority("wer", 0.3, 0.2, 0.45, False, 200, 0.2, None), None, wer)).axes
    lines = {line.get_gid(): line.get_xdata()[0] for line in axes.lines if line.get_gid()}  # type: ignore[index]
    assert lines == {"margin": 0.3, "bound": 0.45}
    assert axes.get_xlabel().endswith("left is better")
    legend = axes.get_legend()
    assert legend is not None
    assert any("not shown to be within" in text.get_text() for text in legend.get_texts())


def test_without_a_margin_and_without_latency_there_is_one_panel() -> None:
    (axes,) = draw_comparison(comparison(None, None)).axes
    assert axes.get_legend() is None
