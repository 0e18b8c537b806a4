"""Latency of a configuration from what a study has measured of others: numbers of its structure, by non-negative least squares.

Rougher than a profiled predictor, but free, and the same for two configurations of one structure whatever else the machine did meanwhile:
enough to tell who costs no more than whom. It knows nothing before some different structures were measured.
"""

import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from paredown.space.macs import Units, Workload
from paredown.space.operations import Operation, Structure

LEAST = 4  # different structures before anything is foretold
Terms = tuple[float, ...]


def terms_of(operations: Iterable[Operation], structure: Structure, workload: Workload) -> Terms:
    """Of one utterance: itself, multiply-accumulates of the encoder and of the search (in billions), steps of hypotheses (in thousands)."""
    operations = tuple(operations)
    units = Units.of(operations, structure, workload)
    once = sum(units.count(one) * one.macs for one in operations if not one.is_step)
    steps = sum(units.count(one) * one.macs for one in operations if one.is_step)
    return (1.0, once / 1e9, steps / 1e9, sum(step.hypotheses for step in workload.steps) / 1e3)


class FittedLatency:
    """Learns from measured latencies of one kernel; safe for several threads."""

    def __init__(self) -> None:
        self._seen: dict[Terms, list[float]] = {}
        self._weights: NDArray[np.float64] | None = None
        self._error = 0.0
        self._lock = threading.Lock()

    def learn(self, terms: Terms, latency_ms: float) -> None:
        """One measurement more."""
        with self._lock:
            self._seen.setdefault(terms, []).append(latency_ms)
            if len(self._seen) >= LEAST:
                self._fit()

    def predict(self, terms: Terms) -> tuple[float, float] | None:
        """Milliseconds, and twice the typical relative error of the fit; None where too little was measured."""
        with self._lock:
            if self._weights is None:
                return None
            return float(np.array(terms) @ self._weights), self._error

    def _fit(self) -> None:
        """Relative errors count: every row is divided by what was measured."""
        rows = [(terms, each) for terms, found in self._seen.items() for each in found]
        measured = np.array([each for _, each in rows])
        scaled = np.array([terms for terms, _ in rows]) / measured[:, None]
        weights, _ = nnls(scaled, np.ones(len(rows)))
        self._weights = weights
        freedom = max(1, len(rows) - int(np.count_nonzero(weights)))
        self._error = 2.0 * float(np.sqrt(((scaled @ weights - 1.0) ** 2).sum() / freedom))
