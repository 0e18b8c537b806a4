"""Predicts how long a configuration takes on this target, from the costs of operations that a few probes told.

Only to put candidates in order before they are measured: everything it gives is labelled as estimated, and it serves the target that it was
made on alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement
from paredown.profilers.prediction.model import CostModel, fit_costs, left_out_errors
from paredown.runtime.seal import canonical_json
from paredown.space.operations import Operation, Structure
from paredown.trials.predicting.latency_terms import Terms, list_terms
from paredown.trials.predicting.stage_times import Doubles
from paredown.trials.stages import STAGES

MARGIN = 1.25  # times the most that was profiled of a term in one run: beyond it a prediction is extrapolated, and says so
_KEYS = ("fingerprint", "threads", "stages", "error", "reference_ms", "runs")


@dataclass(frozen=True)
class Utterance:
    """What is decoded: feature frames, and the steps and the beam of the search."""

    frames: int
    tokens: int
    beam: int


@dataclass(frozen=True)
class LatencyPredictor:
    """Costs of the terms of every stage on one target.

    `fingerprint`: digest of the target that was profiled; `threads`: what onnxruntime had. `error`: 95 % of the profiled runs were
    predicted within this share by fits that had not seen their shape. `reference_ms`: what the reference run took in the median, which
    tells how fast the machine was. `runs`: how many were profiled.
    """

    fingerprint: str
    threads: int
    stages: tuple[tuple[str, CostModel], ...]
    error: float
    reference_ms: float
    runs: int

    def __post_init__(self) -> None:
        if tuple(stage for stage, _ in self.stages) != STAGES:
            raise ValueError(f"a predictor has the stages {', '.join(STAGES)}, got {[stage for stage, _ in self.stages]}")
        if not (np.isfinite(self.error) and self.error >= 0 and np.isfinite(self.reference_ms) and self.reference_ms > 0):
            raise ValueError(f"error must be at least 0 and reference_ms above 0, got {self.error} and {self.reference_ms}")
        if self.threads < 1 or self.runs < 1:
            raise ValueError(f"threads and runs must be at least 1, got {self.threads} and {self.runs}")

    @classmethod
    def fit(
        cls, terms: Sequence[Terms], stage_ms: Doubles, probes: Sequence[str], fingerprint: str, threads: int, reference_ms: float
    ) -> Self:
        """From profiled runs: their terms, milliseconds [runs, stages], and the probe (shape) that each is of."""
        stages, predicted = [], np.zeros(len(terms))
        for place, stage in enumerate(STAGES):
            amounts, times = [run[stage] for run in terms], stage_ms[:, place].tolist()
            stages.append((stage, fit_costs(amounts, times)))
            predicted += (1.0 + left_out_errors(amounts, times, probes)) * stage_ms[:, place]
        errors = np.abs(predicted / stage_ms.sum(axis=1) - 1.0)
        seen = errors[np.isfinite(errors)]
        if not len(seen):
            raise ValueError("probes must share kernels, so that the error of a prediction can be told; no two of them do")
        return cls(fingerprint, threads, tuple(stages), float(np.quantile(seen, 0.95)), reference_ms, len(terms))

    def predict_ms(self, operations: Iterable[Operation], structure: Structure, utterance: Utterance) -> float:
        """Milliseconds of one utterance. Raises ValueError for a kernel or a part that was not profiled, naming its terms."""
        terms = list_terms(operations, structure, utterance.frames, utterance.tokens, utterance.beam)
        return sum(costs.predict(terms[stage]) for stage, costs in self.stages)

    def outside(self, operations: Iterable[Operation], structure: Structure, utterance: Utterance) -> tuple[str, ...]:
        """Terms, with their stage, of which the utterance has more than was profiled (beyond a margin): none where it can be trusted."""
        terms = list_terms(operations, structure, utterance.frames, utterance.tokens, utterance.beam)
        return tuple(f"{stage}: {term}" for stage, costs in self.stages for term in costs.outside(terms[stage], MARGIN))

    def predict(
        self, operations: Iterable[Operation], structure: Structure, utterances: Sequence[Utterance], fingerprint: str
    ) -> Measurement:
        """The median over utterances, labelled as estimated, with what was extrapolated in its detail.

        `fingerprint`: digest of the target that it is wanted for. Raises BadInput for another than the one profiled, ValueError without
        utterances and where something was not profiled.
        """
        if fingerprint != self.fingerprint:
            raise BadInput(
                f"a latency predictor serves the target that it was made on, {self.fingerprint[:12]}, got {fingerprint[:12]}: profile again"
            )
        if not utterances:
            raise ValueError("a latency is predicted of one utterance or more, got none")
        operations = tuple(operations)
        value = float(np.median([self.predict_ms(operations, structure, utterance) for utterance in utterances]))
        extrapolated = sorted({term for utterance in utterances for term in self.outside(operations, structure, utterance)})
        detail = (("extrapolated", "; ".join(extrapolated)), ("error", self.error), ("fingerprint", self.fingerprint))
        interval = (max(0.0, value * (1.0 - self.error)), value * (1.0 + self.error))
        return Measurement(value, "ms", interval, self.runs, "estimated", detail)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        value = {name: getattr(self, name) for name in _KEYS} | {"stages": {stage: costs.to_dict() for stage, costs in self.stages}}
        return canonical_json(value)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The predictor that `to_json` wrote; raises ValueError for text that is none."""
        try:
            value: Any = json.loads(text)
            stages: Mapping[str, Any] = value["stages"]
            costs = tuple((stage, CostModel.from_dict(stages[stage])) for stage in STAGES)
            return cls(**{**{name: value[name] for name in _KEYS}, "stages": costs})
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"a latency predictor must be JSON with the keys {', '.join(_KEYS)}, got text that is none ({error})"
            ) from error
