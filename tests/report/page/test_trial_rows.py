"""Rows give the configuration back: bits by layer, widths by module; and figures of stopped trials stay apart."""

from dataclasses import replace
from pathlib import Path

from paredown.profilers.measurement import Measurement
from paredown.report.front_rows import read_front
from paredown.report.page.cards import make_card
from paredown.report.page.numbers import short, tidy
from paredown.report.page.trial_rows import TrialRows
from paredown.search.final import Final, FinalPoint, write_final
from paredown.search.outcome import Outcome
from tests.report.page import pages


def test_bits_and_widths_come_back(tmp_path: Path) -> None:
    front = read_front(pages.write_study(tmp_path))
    rows = TrialRows(front)
    for trial, entry in zip(front.trials, front.entries, strict=False):
        row, one = rows.row(trial, entry, None), trial.configuration
        letters = row.get("bits", "-" * len(rows.layers))
        assert {path: int(letter) for path, letter in zip(rows.layers, letters, strict=True) if letter != "-"} == one.bits_of
        assert {rows.paths[place]: units for place, units in row.get("width", [])} == one.width_of
        assert {stack: tuple(kept) for stack, kept in row.get("keep", {}).items()} == one.keep_of
        assert row["values"] == list(entry.point.values)


def test_layers_stand_in_the_order_of_blocks(tmp_path: Path) -> None:
    assert TrialRows(read_front(pages.write_study(tmp_path))).layers == list(pages.LAYERS)


def test_a_stopped_trial_has_no_values_but_what_was_seen(tmp_path: Path) -> None:
    front = read_front(pages.write_study(tmp_path))
    row = TrialRows(front).row(front.trials[5], None, 3.0)
    assert "values" not in row
    assert row["part"] == [-20.0, 50.0, 3.5e6]
    assert row["reason"] == "raced out search"
    assert row["at"] == 3.0


def test_final_figures_stand_beside_those_of_the_search(tmp_path: Path) -> None:
    folder = pages.write_study(tmp_path)
    trial = read_front(folder).trials[2]
    assert trial.outcome is not None
    point = FinalPoint(2, trial.digest, trial.outcome).with_strict("latency_ms@cpu", Measurement(61.5, "ms", (61.0, 62.0)))
    tested = Outcome((("quality", Measurement(-1.25, "chrF", (-2.0, -0.5), 1_000)),))
    write_final(Final("chrf", "m", (replace(point, test=tested),), test_split="abc", split="made/test", finished=7, looks=(7,)), folder)
    figures = {row["name"]: row for row in make_card(trial, read_front(folder), None)["figures"]}
    assert (figures["quality"]["search"]["value"], figures["quality"]["again"]["value"]) == (-0.8, -1.25)
    assert figures["quality"]["again"]["samples"] == 1_000
    assert figures["latency_ms@cpu"]["again"]["ci95"] == [61.0, 62.0]
    assert figures["size_bytes"]["again"] is None


def test_numbers_are_short() -> None:
    assert short(1.23456789) == 1.23457
    assert tidy({"a"}) == "{'a'}"
    assert tidy((1.23456789, None, True, float("inf"))) == [1.23457, None, True, None]
