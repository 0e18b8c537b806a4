"""Comma-separated values come back as they were, and a file is there whole or not at all."""

import csv
from pathlib import Path

import pytest

from paredown.profilers.measurement import Measurement
from paredown.report.csv_file import STDOUT, Cell, figure_cells, write_csv

ROWS: list[dict[str, Cell]] = [{"a": 0.1 + 0.2, "b": 'say "x", then\ny', "c": True}, {"a": None, "d": 3}]


def test_every_value_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(ROWS, tmp_path / "x.csv", ("b",))
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        heading, first, second = csv.reader(file)
    assert heading == ["b", "a", "c", "d"]
    assert first == ['say "x", then\ny', "0.30000000000000004", "true", ""]
    assert second == ["", "", "", "3"]
    write_csv(ROWS, STDOUT, ("b",))
    assert capsys.readouterr().out.encode() == (tmp_path / "x.csv").read_bytes()


def test_a_measurement_has_its_interval_and_its_provenance() -> None:
    found = figure_cells("latency_ms@cpu", Measurement(5.0, "ms", (4.0, 6.5), provenance="estimated"))
    assert found == {"latency_ms@cpu": 5.0, "latency_ms@cpu_low": 4.0, "latency_ms@cpu_high": 6.5, "latency_ms@cpu_provenance": "estimated"}
    unavailable = figure_cells("energy_mj@cpu", Measurement.unavailable("mJ", "no counter"))
    assert list(unavailable.values()) == [None, None, None, "unavailable"]


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_csv(ROWS, tmp_path / "x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert (tmp_path / "x.csv").read_text() == "old"
