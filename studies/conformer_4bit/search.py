"""Sizes of the encoder's feed-forwards by differentiable search (section 3 of the paper, Eqs. 3 and 4 as corrected), weights left alone.

The paper compresses the encoder only, so candidates stand in its feed-forwards alone; the decoder computes as it is.
"""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from paredown.analysis.darts.alphas import SearchSettings, Softmax, learn_alphas, pick_sizes
from paredown.analysis.darts.candidates import Kind, list_choices
from paredown.analysis.darts.importance import order_units, weight_importance
from paredown.analysis.darts.lessons import make_lessons
from paredown.analysis.darts.soft import soften
from paredown.analysis.stages import Sample, shared_copy
from paredown.compress.calibrate import one_thread
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.space.configuration import Configuration
from paredown.trials.evaluation import spread_by_length
from paredown.trials.teacher_forced import read_features
from studies.reproduction.bench import Bench

UTTERANCES, STEPS = 60, 48
Sizes = dict[str, int]


@dataclass(frozen=True)
class Job:
    """One search. `eta`: what a million parameters cost, in nats."""

    kind: Kind
    softmax: Softmax
    eta: float


def samples_of(bench: Bench, base: Configuration, utterances: int) -> tuple[Sample, ...]:
    """So many utterances of *analysis*, spread over the lengths, with what the uncompressed model says of them."""
    heard = spread_by_length(bench.analysis, utterances)
    said = bench.hypotheses(base, heard)
    return tuple(Sample(features, each.ids) for features, each in zip(read_features(bench.model, heard), said, strict=True))


def learn_sizes(bench: Bench, base: Configuration, jobs: Sequence[Job], weights: Model | None = None) -> list[Sizes]:
    """Hidden units of every feed-forward of the encoder (kind "width") or ranks of its matrices ("rank"), by path, for each job.

    `weights`: the network whose candidates these are (default: the bench's model), perhaps a supernet of it.
    """
    model, steps = weights or bench.model, max(2, round(STEPS * bench.scale))

    def learn() -> list[Sizes]:
        bench.tell.line(f"searches of architectures: {len(jobs)} of {steps} steps")
        return _learn(model, samples_of(bench, base, UTTERANCES), jobs, steps, bench.decoder.workers)

    parts = ([asdict(job) for job in jobs], model.digest, UTTERANCES, steps, base.digest)
    return [dict(each) for each in bench.remember("architectures", learn, *parts)]


def _learn(model: Model, samples: Sequence[Sample], jobs: Sequence[Job], steps: int, threads: int) -> list[Sizes]:
    network = copy.deepcopy(model.network).requires_grad_(False).eval()
    if not model.is_supernet:
        order_units(network, weight_importance(network, model.inventory()))
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        with machine_share():
            lessons = make_lessons(network, samples, model.sos, SearchSettings().batch_frames)

        def search(job: Job) -> Sizes:
            choices = [each for each in list_choices(model.inventory(), job.kind) if each.path.startswith("encoder.")]
            own, settings = shared_copy(network), SearchSettings(softmax=job.softmax, steps=steps)
            sizes = pick_sizes(choices, learn_alphas(own, soften(own, choices), lessons, job.eta, settings, unit=machine_share))
            return {choice.path: size for choice, size in zip(choices, sizes, strict=True)}

        return list(pool.map(search, jobs))
