"""Pruning curves as rows and as a picture."""

from pathlib import Path

import numpy as np
import pytest

from paredown.analysis.pruning import PruningCurves
from paredown.errors import BadInput
from paredown.report.pruning_figure import write_pruning_figure
from paredown.report.pruning_table import pruning_columns, pruning_table, sparkline

DIVERGENCES = PruningCurves(("ctc", "decoder.embed"), (0.1, 0.9), np.array([[1e-9, 0.01], [0.1, 10.0]]), "divergence", 0.0, "", 0.0)
SCORES = PruningCurves(("ctc", "decoder.embed"), (0.1, 0.9), np.array([[50.0, 25.0], [40.0, 0.0]]), "chrf", 50.0, "", 0.0)


def test_the_most_sensitive_group_comes_first() -> None:
    assert pruning_columns(DIVERGENCES) == ("module group", "10 %", "90 %", "curve")
    assert pruning_table(DIVERGENCES) == [("decoder.embed", "1.00e-01", "1.00e+01", "▅█"), ("ctc", "1.00e-09", "1.00e-02", "▁▃")]
    assert pruning_table(SCORES) == [("decoder.embed", "40.0", "0.0", "▇▁"), ("ctc", "50.0", "25.0", "█▅")]


def test_of_error_rates_the_highest_come_first() -> None:
    errors = PruningCurves(("ctc", "decoder.embed"), (0.1, 0.9), np.array([[20.0, 25.0], [40.0, 80.0]]), "wer", 20.0, "", 0.0)
    assert pruning_table(errors) == [("decoder.embed", "40.0", "80.0", "▅█"), ("ctc", "20.0", "25.0", "▃▃")]


def test_nothing_is_drawn_as_nothing() -> None:
    none = PruningCurves(("ctc",), (0.5,), np.zeros((1, 1)), "divergence", 0.0, "", 0.0)
    assert pruning_table(none) == [("ctc", "0.00e+00", "▁")]
    assert pruning_table(PruningCurves((), (), np.zeros((0, 0)), "divergence", 0.0, "", 0.0)) == []


def test_a_line_has_a_block_for_each_height() -> None:
    assert sparkline([0.0, 0.13, 0.5, 0.99, 1.0]) == "▁▂▅██"


@pytest.mark.parametrize("curves", [DIVERGENCES, SCORES], ids=["divergence", "score"])
def test_the_figure_names_every_group(curves: PruningCurves, tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    write_pruning_figure(path, curves, "a $title$")
    text = path.read_text()
    for words in ("decoder.embed", "ctc", "a $title$"):
        assert f"<!-- {words} -->" in text
    assert ("<!-- unpruned -->" in text) == (curves is SCORES)


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a figure ends in one of"):
        write_pruning_figure(tmp_path / "curves.txt", SCORES, "")
