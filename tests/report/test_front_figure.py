"""The picture of a front: every trial has its point, where its figures are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from paredown.errors import BadInput
from paredown.report.figure_file import write_figure
from paredown.report.front_figure import FrontPicture, draw_front, find_objective, picks_of
from paredown.report.front_rows import FrontEntry
from paredown.search.budget import make_budget
from paredown.search.front import make_front
from paredown.search.misses import misses
from paredown.search.trial import Trial
from tests.search import toy

OBJECTIVES = toy.toy_spec().objective_list
QUALITY, LATENCY, SIZE = OBJECTIVES
FIGURES = [(0.0, 100.0, 16e6), (-3.0, 60.0, 4e6), (-3.5, 59.0, 3.9e6), (-9.0, 90.0, 9e6), (-1.0, 80.0, 6e6)]
BUDGETS = (make_budget("size", "8 MB"), make_budget("quality", "-3.2"))
TRIALS = tuple(toy.trial(number, *row) for number, row in enumerate(FIGURES))


def entry(trial: Trial, point: Any) -> FrontEntry:
    assert trial.outcome is not None
    return FrontEntry(point, None, misses(BUDGETS, trial.outcome), (), point.to_dict(OBJECTIVES))


def picture() -> FrontPicture:
    points = make_front(TRIALS, OBJECTIVES, BUDGETS)
    entries = tuple(entry(trial, point) for trial, point in zip(TRIALS, points, strict=True))
    return FrontPicture("front of x", entries, OBJECTIVES, BUDGETS, picks_of(TRIALS, OBJECTIVES, BUDGETS))


def drawn(figure: Figure, name: str) -> list[tuple[float, float]]:
    """The points of one kind."""
    found = [artist for artist in figure.axes[0].collections if artist.get_gid() == name]
    return sorted(tuple(row) for artist in found for row in np.asarray(artist.get_offsets()).tolist())


def test_every_trial_has_its_point() -> None:
    figure = draw_front(picture(), SIZE, QUALITY)
    assert drawn(figure, "on the front") == [(4.0, -3.0), (6.0, -1.0)]
    assert drawn(figure, "on the front, misses a budget") == [(3.9, -3.5), (16.0, 0.0)]
    assert drawn(figure, "dominated") == [(9.0, -9.0)]
    axes = figure.axes[0]
    assert axes.get_xlabel() == "size in MB"
    assert axes.get_ylabel() == "quality: difference to the uncompressed model in chrF"
    other = draw_front(picture(), LATENCY, SIZE)
    assert drawn(other, "on the front") == [(60.0, 4.0), (80.0, 6.0)]


def test_budgets_picks_and_the_line_of_the_best_are_drawn() -> None:
    figure = draw_front(picture(), SIZE, QUALITY)
    lines = {line.get_gid(): line for line in figure.axes[0].lines}
    assert lines["budget size"].get_xdata()[0] == 8.0  # type: ignore[index]
    assert lines["budget quality"].get_ydata()[0] == -3.2  # type: ignore[index]
    steps = list(zip(lines["line"].get_xdata(), lines["line"].get_ydata(), strict=True))  # type: ignore[arg-type]
    assert steps == [(3.9, -3.5), (4.0, -3.0), (6.0, -1.0), (16.0, 0.0)]
    assert picture().picks == {"1": "knee, smallest, fastest", "4": "best"}
    assert drawn(figure, "picks") == [(4.0, -3.0), (6.0, -1.0)]
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"0", "2"} <= texts
    assert any(text.startswith("4: ") for text in texts)
    assert "dominated trials outside the picture: 1" in texts


def test_labels_do_not_lie_on_each_other() -> None:
    figure = draw_front(picture(), SIZE, QUALITY)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()[0].isdigit()]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])


def test_axes_are_named_as_budgets_are() -> None:
    assert find_objective("size", OBJECTIVES) == SIZE
    assert find_objective("latency", OBJECTIVES) == find_objective("latency@cpu", OBJECTIVES) == LATENCY
    assert find_objective("latency_ms@cpu", OBJECTIVES) == LATENCY
    with pytest.raises(BadInput, match="an axis of the figure is one of quality, latency_ms@cpu, size_bytes, got 'tokens'"):
        find_objective("tokens", OBJECTIVES)


def test_a_figure_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = draw_front(picture(), SIZE, QUALITY)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        write_figure(figure, tmp_path / "f.png")
    assert list(tmp_path.iterdir()) == []
