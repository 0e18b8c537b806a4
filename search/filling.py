"""Costs that a stopped trial lacks, from the multiply-accumulates that are known of all: a sampler must learn from every trial it caused.

A straight line in logarithms through the compressed trials that were measured; their median where they all have the same work.
"""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from paredown.profilers.measurement import Measurement
from paredown.search.objective import Objective
from paredown.search.outcome import Outcome
from paredown.search.trial import Trial

WORK = "macs"


def fill(partial: Outcome, objectives: Sequence[Objective], trials: Sequence[Trial]) -> Outcome:
    """The same with an estimate of every cost that it lacks and that was measured of others; quality is not a cost."""
    known = partial.measurement_of
    lacking = [one for one in objectives if one.scale == "log" and one.name not in known]
    found = [(one.name, _estimate(one, known.get(WORK), trials)) for one in lacking]
    return Outcome((*partial.measurements, *((name, figure) for name, figure in found if figure is not None)))


def _estimate(objective: Objective, work: Measurement | None, trials: Sequence[Trial]) -> Measurement | None:
    seen = [trial.outcome.measurement_of for trial in trials if trial.outcome is not None and trial.configuration.bits]
    rows = [(figures[WORK].value, figures[objective.name].value) for figures in seen if {WORK, objective.name} <= figures.keys()]
    if not rows or work is None:
        values = [figures[objective.name].value for figures in seen if objective.name in figures]
        return Measurement(median(values), objective.unit, provenance="estimated") if values else None
    logs = np.log(np.array(rows))
    if np.ptp(logs[:, 0]) < 1e-6:
        return Measurement(median(value for _, value in rows), objective.unit, provenance="estimated")
    slope, offset = np.polyfit(logs[:, 0], logs[:, 1], 1).tolist()
    return Measurement(math.exp(slope * math.log(work.value) + offset), objective.unit, provenance="estimated")
