"""Costs that a stopped trial lacks: from the work that it has, by what others took for theirs."""

import math

import pytest

from paredown.profilers.measurement import Measurement
from paredown.search.filling import fill
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration, Decode

OBJECTIVES = (
    Objective("quality", "maximize", "chrF"),
    Objective("latency_ms@cpu", "minimize", "ms", "log"),
    Objective("size_bytes", "minimize", "bytes", "log"),
)


def trial(number: int, macs: float, latency_ms: float) -> Trial:
    figures = (("macs", Measurement(macs, "MACs")), ("latency_ms@cpu", Measurement(latency_ms, "ms")))
    configuration = Configuration(bits=(("encoder.embed.out", 8),), decode=Decode(beam_size=number + 1))
    return Trial(number, "complete", Candidate("search", configuration), Outcome(figures))


def partial(macs: float) -> Outcome:
    return Outcome((("macs", Measurement(macs, "MACs")), ("size_bytes", Measurement(4e6, "bytes"))))


def test_latency_follows_the_work_in_logarithms() -> None:
    trials = [trial(i, macs, 3.0 * macs**0.5) for i, macs in enumerate((1.0, 4.0, 9.0))]
    found = fill(partial(16.0), OBJECTIVES, trials).measurement_of
    assert found["latency_ms@cpu"].value == pytest.approx(12.0)
    assert found["latency_ms@cpu"].provenance == "estimated"
    assert found["size_bytes"].value == 4e6  # what is known stays
    assert "quality" not in found


def test_equal_work_takes_the_median_and_nothing_measured_tells_nothing() -> None:
    same = [trial(i, 5.0, latency) for i, latency in enumerate((10.0, 30.0, 12.0))]
    assert fill(partial(7.0), OBJECTIVES, same).value("latency_ms@cpu") == 12.0
    assert "latency_ms@cpu" not in fill(partial(7.0), OBJECTIVES, []).measurement_of
    assert math.isfinite(fill(partial(7.0), OBJECTIVES, same[:1]).value("latency_ms@cpu"))
