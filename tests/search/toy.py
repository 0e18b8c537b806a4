"""A toy problem with the shape of the real one: real axes, figures from a formula, no model.

Run as a script it drives a study in its own process, for tests that kill it: toy.py FOLDER TRIALS PAUSE_S
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paredown.profilers.measurement import Measurement
from paredown.search.budget import Budget
from paredown.search.loop import run_study
from paredown.search.outcome import Outcome
from paredown.search.spec import StudySpec
from paredown.search.study import Study
from paredown.search.study_file import make_spec
from paredown.search.trial import Candidate, State, Trial
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.configuration import Configuration, Decode

GROUPS = ("encoder.feed_forward", "decoder.cross_attn")
IDENTITY = {"model": "abc", "data": "def"}
UNCOMPRESSED = Candidate("uncompressed", Configuration(decode=Decode(beam_size=9)))


def make_space(low: int = 2, groups: Sequence[str] = GROUPS) -> SearchSpace:
    return SearchSpace([LayersAxis("decoder", 6, (3, 2, 4, 1, 0), low, 6), SparsityAxis(groups, 0.9)])


def toy_spec(name: str = "toy", sampler: str = "tpe", trials: int = 12, time: str | None = None, **budgets: str) -> StudySpec:
    search = {"sampler": sampler, "trials": trials, "seed": 3} | ({} if time is None else {"time": time})
    space = {"layers": {"decoder": [2, 6]}, "sparsity": {"groups": list(GROUPS), "max": 0.9}}
    return make_spec({"name": name, "model": {"path": "toy"}, "space": space, "search": search, "budgets": budgets})


def given() -> list[Candidate]:
    """As a real study begins: the uncompressed model, a point without knobs and one with."""
    full_depth = {"layers.decoder": 6, "sparsity.encoder.feed_forward": 0.0, "sparsity.decoder.cross_attn": 0.0}
    return [
        UNCOMPRESSED,
        Candidate("8 bits", Configuration(bits=(("encoder.embed.out", 8),))),
        Candidate("full depth", make_space().resolve(full_depth), tuple(full_depth.items())),
    ]


SHARES = (("share_features", 0.1), ("share_encoder", 0.3), ("share_search", 0.6))


def outcome(quality: float, latency_ms: float, size_bytes: float) -> Outcome:
    return Outcome(
        (
            ("quality", Measurement(quality, "chrF", (quality - 1.0, quality + 1.0), 200)),
            ("chrf", Measurement(55.0 + quality, "chrF")),
            ("latency_ms@cpu", Measurement(latency_ms, "ms", None, 20, detail=SHARES)),
            ("size_bytes", Measurement(size_bytes, "bytes")),
        )
    )


def evaluate(configuration: Configuration, number: int) -> Outcome:
    """Fewer blocks are faster, sparsity is smaller, both cost quality."""
    depth = len(configuration.keep_of.get("decoder", range(6)))
    shares = list(configuration.sparsity_of.values())
    size = (4.0 + 2.0 * depth) * (1.0 - 0.4 * sum(shares)) * 1e6
    quality = -(float(6 - depth) ** 1.5) - sum(20.0 * share**3 for share in shares)
    return outcome(quality, 20.0 + 8.0 * depth, size)


def open_study(folder: Path, spec: StudySpec, budgets: Sequence[Budget] | None = None, space: SearchSpace | None = None) -> Study:
    limits = spec.budget_list if budgets is None else budgets
    return Study.open(folder, spec, space or make_space(), spec.objective_list, limits, IDENTITY)


def trial(number: int, quality: float, latency_ms: float, size_bytes: float, state: State = "complete") -> Trial:
    """A trial with these figures; every number has its own configuration."""
    candidate = Candidate("search", Configuration(decode=Decode(beam_size=number + 1)))
    return Trial(number, state, candidate, outcome(quality, latency_ms, size_bytes) if state == "complete" else None)


def _main(folder: str, trials: str, pause_s: str) -> None:
    def slow(configuration: Configuration, number: int) -> Outcome:
        time.sleep(float(pause_s))
        return evaluate(configuration, number)

    with open_study(Path(folder), toy_spec(trials=int(trials))) as study:
        print(run_study(study, slow, given()), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
