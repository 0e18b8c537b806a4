"""Latency by structure from a study's own measurements: an exact law is found again, and too little tells nothing."""

import numpy as np
import pytest

from paredown.space.macs import Step, Workload
from paredown.space.operations import Structure
from paredown.trials.fitted_latency import LEAST, FittedLatency, Terms, terms_of

WEIGHTS = np.array([3.0, 20.0, 50.0, 7.0])
RNG = np.random.default_rng(0)
SEEN: list[Terms] = [(1.0, *map(float, row)) for row in RNG.uniform(0.1, 2.0, (12, 3))]
OTHER: Terms = (1.0, 0.7, 1.3, 0.4)


def law(terms: Terms) -> float:
    return float(np.array(terms) @ WEIGHTS)


def test_an_exact_law_is_found_again() -> None:
    fitted = FittedLatency()
    for terms in SEEN:
        fitted.learn(terms, law(terms))
    found = fitted.predict(OTHER)
    assert found is not None
    assert found[0] == pytest.approx(law(OTHER))
    assert found[1] == pytest.approx(0.0, abs=1e-9)


def test_it_tells_nothing_before_enough_structures() -> None:
    """One structure may be measured as often as you like."""
    fitted = FittedLatency()
    for terms in [*SEEN[: LEAST - 1], *[SEEN[0]] * 10]:
        fitted.learn(terms, law(terms))
        assert fitted.predict(OTHER) is None
    fitted.learn(SEEN[LEAST - 1], law(SEEN[LEAST - 1]))
    assert fitted.predict(OTHER) is not None


def test_no_term_makes_a_candidate_quicker() -> None:
    """Latency that falls with the work is noise: weights are at least 0, and so is every prediction."""
    fitted = FittedLatency()
    for terms in SEEN:
        fitted.learn(terms, 100.0 / (1.0 + sum(terms)))
    predicted = [fitted.predict(terms) for terms in ((1.0, 0.1, 0.1, 0.1), (1.0, 9.0, 9.0, 9.0))]
    assert predicted[0] is not None
    assert predicted[1] is not None
    assert 0.0 < predicted[0][0] <= predicted[1][0]


def test_the_error_is_twice_the_relative_spread() -> None:
    """Measured 5 % above and below the law in turns, each structure both ways: 95 % of errors lie within twice 5 %."""
    fitted = FittedLatency()
    for terms in SEEN:
        for factor in (0.95, 1.05):
            fitted.learn(terms, factor * law(terms))
    found = fitted.predict(OTHER)
    assert found is not None
    # Rows are divided by what was measured, so the fit leans 0.25 % low; 4 of 24 degrees of freedom are spent.
    assert found[0] == pytest.approx(law(OTHER), rel=0.005)
    assert found[1] == pytest.approx(0.1, rel=0.1)


def test_hypotheses_are_counted_by_steps() -> None:
    """Without operations nothing is left but the utterance and the hypotheses of its steps, in thousands."""
    workload = Workload(100, (Step(1, 0), Step(4, 1), Step(4, 5)))
    assert terms_of([], Structure(80, (2, 2), "relative", 4, 4), workload) == (1.0, 0.0, 0.0, 0.009)
