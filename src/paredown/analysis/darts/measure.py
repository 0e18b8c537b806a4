"""The family of architectures of a model: alphas learnt at every penalty, the model's own weights left alone.

A supernet's hidden units stand in the order of importance already; those of another model are put into it first (a copy's), so that every
model is a supernet, one of no training. Factors start from the singular value decomposition of the model's own weights.
"""

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext

from paredown.analysis.darts.alphas import SearchSettings, learn_alphas, pick_sizes
from paredown.analysis.darts.candidates import Kind, list_choices
from paredown.analysis.darts.family import Family
from paredown.analysis.darts.importance import order_units, weight_importance
from paredown.analysis.darts.lessons import make_lessons
from paredown.analysis.darts.soft import soften
from paredown.analysis.stages import Sample, shared_copy
from paredown.compress.calibrate import one_thread
from paredown.models.model import Model
from paredown.models.network import Network

DEFAULTS = SearchSettings()


def measure_family(
    model: Model,
    samples: Sequence[Sample],
    kind: Kind,
    etas: Sequence[float],
    settings: SearchSettings = DEFAULTS,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Family:
    """The sizes of every feed-forward (or matrix) at every eta, which ascend; `samples` hold the model's own hypotheses.

    Each search starts from all candidates alike, so that a member depends neither on the others nor on `threads`, which run one eta each.
    `progress(done, total)` counts etas, each step is inside a `unit()`. Raises ValueError without an utterance.
    """
    began, choices = time.monotonic(), list_choices(model.inventory(), kind)
    network = copy.deepcopy(model.network).requires_grad_(False).eval()
    if kind == "width" and not model.is_supernet:
        order_units(network, weight_importance(network, model.inventory()))
    with one_thread():
        with unit():
            lessons = make_lessons(network, samples, model.sos, settings.batch_frames)

        def search(own: Network, eta: float) -> tuple[int, ...]:
            return pick_sizes(choices, learn_alphas(own, soften(own, choices), lessons, eta, settings, unit=unit))

        pool = ThreadPoolExecutor(threads)
        try:
            places = {pool.submit(search, shared_copy(network), eta): place for place, eta in enumerate(etas)}
            found: dict[int, tuple[int, ...]] = {}
            for done, future in enumerate(as_completed(places), 1):
                found[places[future]] = future.result()
                if progress is not None:
                    progress(done, len(etas))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C nothing more is begun
    sizes = tuple(found[place] for place in range(len(etas)))
    return Family(kind, choices, tuple(etas), sizes, settings, f"{len(samples)} utterances", time.monotonic() - began)
