"""Footprints worked out by hand, and processes that succeed, refuse and fail."""

import os
import sys

import numpy as np
import pytest

from paredown.errors import BadInput
from paredown.profilers.footprint import Footprint, FreshRun, run_fresh

PARAMETERS = {"stored": 90, "model": 100}


def footprint(*runs: FreshRun) -> Footprint:
    return Footprint.of(runs, PARAMETERS, "target", np.random.default_rng(0))


def test_the_median_of_load_times_and_the_largest_of_peaks() -> None:
    found = footprint(FreshRun(10.0, 5, 70), FreshRun(40.0, 7, 60), FreshRun(20.0, 6, 50))
    assert found.to_dict() == {
        "peak_rss_bytes": 70,
        "load_ms": {"median": 20.0, "ci95": [10.0, 40.0], "runs": 3},  # of three, a resample often holds one three times
        "imported_bytes": 7,
        "params": {"stored": 90, "model": 100},
    }
    load, peak = found.to_measurements()["load_ms"], found.to_measurements()["peak_rss_bytes"]
    assert (load.value, load.unit, load.ci95, load.samples, load.target) == (20.0, "ms", (10.0, 40.0), 3, "target")
    assert (peak.value, peak.unit, peak.samples, peak.target, peak.detail_of) == (70, "bytes", 3, "target", {"imported_bytes": 7})


def test_memory_that_cannot_be_read_is_unavailable_and_not_zero() -> None:
    found = footprint(FreshRun(10.0, None, None))
    assert found.to_dict()["peak_rss_bytes"] is None
    peak = found.to_measurements()["peak_rss_bytes"]
    assert peak.provenance == "unavailable"
    assert "VmHWM" in str(peak.detail_of["reason"])
    assert footprint(FreshRun(1.0, 1, 2), FreshRun(1.0, 1, None)).peak_rss_bytes is None


def test_no_process_is_no_footprint() -> None:
    with pytest.raises(ValueError, match="at least 1 process, got 0"):
        footprint()


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_process_says_what_it_took_on_its_last_line() -> None:
    told = run_fresh(python("""print('hello'); print('{"load_ms": 1.5, "imported_bytes": 2, "peak_rss_bytes": null}')"""), os.environ)
    assert FreshRun.of(told) == FreshRun(1.5, 2, None)


def test_a_process_that_refuses_and_one_that_fails() -> None:
    with pytest.raises(BadInput, match=r"^no such bundle$"):
        run_fresh(python("import sys; print('first', file=sys.stderr); print('no such bundle', file=sys.stderr); sys.exit(2)"), os.environ)
    with pytest.raises(RuntimeError, match=r"^ZeroDivisionError: division by zero$"):
        run_fresh(python("1 / 0"), os.environ)
    with pytest.raises(RuntimeError, match="no output, exit code 3"):
        run_fresh(python("import os; os._exit(3)"), os.environ)
