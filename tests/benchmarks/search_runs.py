"""One search of the bundled model, for `bench_search`: python -m tests.benchmarks.search_runs ARM SEED SECONDS FOLDER

Every arm has the same model, data, analysis (from the cache), knobs, budget on quality, evaluator and stopwatch, and a cache of records
of its own that is empty. Arms named after a sampler of Optuna evaluate everything in full; "paredown" is the study as it comes; "no …"
switches one ingredient of that off. The clock starts when the analysis is there; measuring the uncompressed model is inside.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from paredown.models import load_model
from paredown.search.loop import Standing, run_study
from paredown.search.spec import StudySpec
from paredown.search.study import Study
from paredown.search.study_file import make_spec
from paredown.search.trial import Candidate, Trial
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.bits import BitsAxis
from paredown.space.configuration import Configuration
from paredown.trials.arrangement import make_evaluation
from paredown.trials.evaluation import Known, uncompressed
from paredown.trials.findings import find
from paredown.trials.power import open_power
from paredown.trials.space import first_candidates, make_space, obvious_candidates
from paredown.trials.study_run import split_of
from paredown.trials.workshop import Workshop

BASELINES = {"TPE": "tpe", "NSGA-II": "nsga2", "constrained GP": "gp"}
OURS = "paredown"
ABLATIONS = ("no solver", "no staging", "no racing", "no warm start")
ARMS = (OURS, *BASELINES)
MANY = 5000  # trials: time ends a run
SPACE = {
    "bits": {"average": [3.0, 8.0]},
    "layers": {"decoder": [3, 6]},
    "sparsity": {"groups": ["encoder.feed_forward", "encoder.self_attn", "decoder.feed_forward"], "max": 0.5},
    "input": {"hop_samples": [160, 200, 250]},
    "decode": {"beam_size": [1, 10]},
}


class UniformBits(Axis):
    """The axis `bits` without its solver: every layer has the average, rounded."""

    name, stage = "bits", 4

    def __init__(self, solved: BitsAxis) -> None:
        self._solved = solved

    @property
    def knobs(self) -> Any:
        return self._solved.knobs

    def resolve(self, values: Any, configuration: Configuration) -> Configuration:
        found = self._solved.resolve(values, configuration)
        return replace(found, bits=tuple((path, round(values["bits.average"])) for path, _ in found.bits))

    def lowest(self) -> dict[str, float | int]:
        return self._solved.lowest()


class Quiet:
    """Tells nobody."""

    def line(self, text: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: None


def spec_of(arm: str, seed: int, seconds: float) -> StudySpec:
    search: dict[str, Any] = {"trials": MANY, "time": f"{seconds} s", "seed": seed, "sampler": BASELINES.get(arm, "model")}
    plain = arm in BASELINES
    search |= {"staged": not plain and arm != "no staging", "racing": not plain and arm != "no racing", "refine": not plain}
    model = {"path": "bundled:tatoeba-en-de"}
    return make_spec({"name": "bench", "model": model, "space": SPACE, "budgets": {"quality": "-10"}, "search": search})


def given_to(arm: str, space: SearchSpace, spec: StudySpec, model: Any) -> Sequence[Candidate]:
    """What is tried first: the uncompressed model; where the search begins warm, the opening behind it."""
    if arm in BASELINES or arm == "no warm start":
        return (Candidate("uncompressed", uncompressed(model)),)
    return first_candidates(space, model)


def run(arm: str, seed: int, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """Every finished trial with the second at which it was known."""
    spec, times = spec_of(arm, seed, seconds), list[tuple[float, Trial]]()
    model, tell = load_model(spec.model.path), Quiet()
    with ExitStack() as held:
        power = held.enter_context(open_power(spec, None))
        workshop = held.enter_context(Workshop(model))
        findings = find(spec.space, model, split_of(spec, "analysis"), workshop, power.decoder, tell)
        space = make_space(spec.space, model, findings, workshop.count_survivors)
        if arm == "no solver":
            space = SearchSpace([UniformBits(axis) if isinstance(axis, BitsAxis) else axis for axis in space.axes], space.base)
        began = time.monotonic()
        evaluation = make_evaluation(spec, workshop, power, split_of(spec, "search"), split_of(spec, "analysis"), None, Known(), tell)

        def watch(standing: Standing) -> None:
            known = {trial.number for _, trial in times}
            now = time.monotonic() - began
            times.extend((now, trial) for trial in standing.trials if trial.is_finished and trial.number not in known)

        with Study.open(folder / "study", spec, space, spec.objective_list, spec.budget_list, {"arm": arm}) as study:
            given = given_to(arm, space, spec, model)
            asides = () if arm in BASELINES else obvious_candidates(space, spec.space, model)
            run_study(study, evaluation.evaluate, given, watch=watch, foretell=evaluation.foretell, board=evaluation.board, asides=asides)
    return [_row(second, trial, spec) for second, trial in times]


def _row(second: float, trial: Trial, spec: StudySpec) -> dict[str, Any]:
    found = trial.outcome or trial.partial
    figures = {} if found is None else found.measurement_of
    values = {name: figures[name].value for name in (one.name for one in spec.objective_list) if name in figures}
    row = {"second": second, "state": trial.state, "label": trial.label, "seconds": trial.seconds, "values": values, "reason": trial.reason}
    return row | {"knobs": dict(trial.candidate.knobs or ()), "configuration": trial.configuration.to_json()}


def main(arm: str, seed: str, seconds: str, folder: str) -> None:
    rows = run(arm, int(seed), float(seconds), Path(folder))
    fresh = Path(folder) / "trials.json.new"
    fresh.write_text(json.dumps(rows))
    fresh.replace(Path(folder) / "trials.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
