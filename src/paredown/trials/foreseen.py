"""Costs of a configuration before anything of it is built: bytes, parameters and multiply-accumulates exactly, latency as predicted."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from paredown.profilers.measurement import Measurement
from paredown.space.configuration import Configuration
from paredown.space.macs import Workload, macs
from paredown.trials.evaluation import FIXED_TOKENS, MACS_AUDIO_S, Evaluator
from paredown.trials.fitted_latency import FittedLatency, Terms, terms_of
from paredown.trials.operations import count_frames, operations_of, read_structure

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.trials.predicting.predictor import LatencyPredictor, Utterance

_REMEMBERED = 4096  # configurations; a few hundred bytes each
LATENCY = "latency_ms@cpu"
Figures = tuple[tuple[str, Measurement], ...]


class Foreseen:
    """Tells the costs of configurations of one study, each worked out once (some 20 ms).

    `predictor`: of this target; without it latency is told once some were measured, from these. A prediction is put on the scale of the
    study: its ratio to that of the uncompressed model, times what that was measured to take.
    """

    def __init__(self, full: Evaluator, predictor: "LatencyPredictor | None" = None) -> None:
        self._full, self._predictor = full, predictor
        self._found: dict[str, Figures] = {}
        self._fitted = FittedLatency()
        self._terms_of: dict[str, Terms] = {}
        self._uncompressed_ms: float | None = None
        self._lock = threading.Lock()

    def figures(self, configuration: Configuration) -> Figures:
        """Measurements by name, those of latency labelled as estimated."""
        known = self._known(configuration)
        if LATENCY in dict(known) or configuration == self._full.uncompressed:
            return known
        found = self._fitted.predict(self._terms(configuration))
        if found is None:
            return known
        latency_ms, error = found
        around = (latency_ms * max(0.0, 1.0 - error), latency_ms * (1.0 + error))
        return (*known, (LATENCY, Measurement(latency_ms, "ms", around, provenance="estimated", detail=(("fitted", True),))))

    def learn(self, configuration: Configuration, latency_ms: float) -> None:
        """What was measured: where nothing was profiled, latencies of others are foretold from it, not from other kernels' ones."""
        if configuration != self._full.uncompressed:
            self._fitted.learn(self._terms(configuration), latency_ms)

    def _terms(self, configuration: Configuration) -> Terms:
        """At the usual numbers of tokens, of the timed utterances together."""
        digest = configuration.digest
        if digest not in self._terms_of:
            self._terms_of[digest] = self._find_terms(configuration)
        return self._terms_of[digest]

    def _find_terms(self, configuration: Configuration) -> Terms:
        model = self._full.workshop.model
        structure = read_structure(model)
        operations = operations_of(model.inventory(), configuration, structure)
        loads = [Workload.fixed(one.frames, one.tokens, one.beam) for one in self._utterances(model, configuration)]
        found = np.array([terms_of(operations, structure, load) for load in loads]).mean(axis=0)
        return tuple(float(f"{value:.6g}") for value in found)

    def _known(self, configuration: Configuration) -> Figures:
        """What does not change while the study goes on."""
        with self._lock:
            found = self._found.get(configuration.digest)
            if found is None:
                if len(self._found) == _REMEMBERED:
                    self._found.pop(next(iter(self._found)))
                found = self._found[configuration.digest] = self._figures(configuration)
        return found

    def _figures(self, configuration: Configuration) -> Figures:
        workshop = self._full.workshop
        size = Measurement(float(workshop.foretell(configuration).size_bytes), "bytes")
        work = float(self._macs(workshop.model, configuration))
        figures = [("size_bytes", size), *self._full.counts(configuration, work)]
        latency = self._predicted(workshop.model, configuration)
        return tuple(figures if latency is None else [*figures, (LATENCY, latency)])

    def _macs(self, model: "Model", configuration: Configuration) -> int:
        """As `macs_of_bundle` counts those of the bundle."""
        structure = read_structure(model)
        operations = operations_of(model.inventory(), configuration, structure)
        frames = _frames(model, configuration, MACS_AUDIO_S)
        return macs(operations, structure, Workload.fixed(frames, FIXED_TOKENS, configuration.decode.beam_size))

    def _predicted(self, model: "Model", configuration: Configuration) -> Measurement | None:
        """None where nothing was profiled that it could be predicted from (joint decoding with a CTC, say)."""
        if self._predictor is None:
            return None
        structure, reference = read_structure(model), self._full.reference
        try:
            if self._uncompressed_ms is None:
                plain = self._full.uncompressed
                operations = operations_of(model.inventory(), plain, structure)
                self._uncompressed_ms = self._predictor.predict(
                    operations, structure, self._utterances(model, plain), self._predictor.fingerprint
                ).value
            operations = operations_of(model.inventory(), configuration, structure)
            found = self._predictor.predict(operations, structure, self._utterances(model, configuration), self._predictor.fingerprint)
        except ValueError:
            return None
        scale = reference.latency_ms / self._uncompressed_ms
        around = None if found.ci95 is None else (found.ci95[0] * scale, found.ci95[1] * scale)
        return replace(found, value=found.value * scale, ci95=around)

    def _utterances(self, model: "Model", configuration: Configuration) -> "Sequence[Utterance]":
        """The timed utterances, as long as they are and with as many tokens as the uncompressed model says."""
        from paredown.trials.predicting.predictor import Utterance

        found, beam = self._full.reference.found, configuration.decode.beam_size
        return [
            Utterance(_frames(model, configuration, seconds), max(1, len(found[index].ids)), beam)
            for index, seconds in self._full.timed_seconds
        ]


def _frames(model: "Model", configuration: Configuration, seconds: float) -> int:
    from paredown.models.input_size import resize_input  # torch

    frontend = resize_input(model.frontend, configuration.input)
    return count_frames(frontend, round(seconds * frontend.sample_rate_hz))
