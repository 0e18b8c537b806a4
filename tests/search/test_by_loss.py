"""Quality that only a loss tells: a line through what has both, with the error it has."""

import numpy as np
import pytest

from paredown.profilers.measurement import Measurement
from paredown.search.by_loss import LossLine, ended_by_loss
from paredown.search.outcome import Outcome
from paredown.search.trial import Candidate, Trial
from paredown.space.configuration import Configuration, Decode


def trial(number: int, loss: float, quality: float | None) -> Trial:
    figures = [("loss", Measurement(loss, "nats a token")), *([] if quality is None else [("quality", Measurement(quality, "chrF"))])]
    outcome, candidate = Outcome(tuple(figures)), Candidate("search", Configuration(decode=Decode(beam_size=number + 1)))
    if quality is None:
        return Trial(number, "stopped", candidate, partial=outcome)
    return Trial(number, "complete", candidate, outcome)


def test_the_line_is_found_again_with_its_error() -> None:
    rng = np.random.default_rng(0)
    losses = rng.uniform(1, 3, 400)
    line = LossLine.through([trial(i, x, 40 - 12 * x + rng.normal(0, 2)) for i, x in enumerate(losses.tolist())])
    assert line is not None
    assert (line.slope, line.offset) == (pytest.approx(-12, abs=0.6), pytest.approx(40, abs=1.2))  # five standard errors
    assert line.variance == pytest.approx(4, rel=0.35)
    stopped = trial(999, 2.0, None)
    assert ended_by_loss(stopped)
    assert stopped.partial is not None
    figure = line.complete(stopped.partial).measurement_of["quality"]
    assert figure.provenance == "estimated"
    assert figure.value == pytest.approx(16, abs=0.6)
    assert figure.ci95 is not None
    assert figure.ci95[1] - figure.ci95[0] == pytest.approx(2 * 1.96 * line.variance**0.5)


def test_too_little_tells_nothing() -> None:
    assert LossLine.through([trial(i, 1.0 + i, -float(i)) for i in range(3)]) is None
    assert LossLine.through([trial(i, 1.0, -float(i)) for i in range(9)]) is None
    assert not ended_by_loss(trial(0, 1.0, 0.0))
