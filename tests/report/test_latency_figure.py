"""Figures of latencies: written in the format of their name, refused before anything is measured."""

from pathlib import Path

import numpy as np
import pytest

from paredown.errors import BadInput
from paredown.report.latency_figure import check_figure, write_latency_figure

HEADS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("kind", HEADS)
def test_the_name_decides_the_format(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"latency.{kind}"
    write_latency_figure(path, {"small": rng.gamma(4.0, 5.0, 64), "reference": rng.gamma(4.0, 9.0, (8, 8))}, "two candidates")
    assert path.read_bytes().startswith(HEADS[kind])


def test_the_figure_shows_medians_of_both(tmp_path: Path) -> None:
    path = tmp_path / "latency.svg"
    write_latency_figure(path, {"one": np.full(64, 12.0), "two": np.full(64, 34.5)}, "title")
    # Glyphs are drawn as paths, with the text they stand for in a comment.
    text = path.read_text()
    assert "one: median 12.0 ms" in text
    assert "two: median 34.5 ms" in text


@pytest.mark.parametrize("name", ["latency", "latency.bmp", "latency.png.txt"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="a figure ends in one of png, svg, pdf, got"):
        check_figure(tmp_path / name)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the folder of a figure must exist"):
        check_figure(tmp_path / "none" / "latency.png")


def test_names_are_no_formulas(tmp_path: Path) -> None:
    """`$` begins one for matplotlib, and a label that begins with an underscore is left out of the legend."""
    path = tmp_path / "latency.svg"
    write_latency_figure(path, {"_a$\\frac$": np.full(64, 12.0)}, "t$\\frac$")
    assert "_a$\\frac$: median 12.0 ms" in path.read_text()
