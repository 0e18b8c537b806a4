"""The family of architectures of a model: alphas learnt at every penalty, the model's own weights left alone.

A supernet's hidden units stand in the order of importance already; those of another model are put into it first (a copy's), so that every
model is a supernet, one of no training. Factors start from the singular value decomposition of the model's own weights.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from paredown.analysis.darts.alphas import SearchSettings, learn_alphas, pick_sizes
from paredown.analysis.darts.candidates import Kind, list_choices
from paredown.analysis.darts.family import Family
from paredown.analysis.darts.importance import order_units, weight_importance
from paredown.analysis.darts.lessons import make_lessons
from paredown.analysis.darts.soft import soften
from paredown.analysis.stages import Sample
from paredown.models.model import Model


def measure_family(
    model: Model,
    samples: Sequence[Sample],
    kind: Kind,
    etas: Sequence[float],
    settings: SearchSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Family:
    """The sizes of every feed-forward (or matrix) at every eta, which ascend; `samples` hold the model's own hypotheses.

    Each search starts from all candidates alike, so that a member does not depend on which others are asked for. One thread of torch, so
    that equal seeds give equal families; `progress(done, total)` counts etas, each step is inside a `unit()`.
    """
    began, choices = time.monotonic(), list_choices(model.inventory(), kind)
    network = copy.deepcopy(model.network).requires_grad_(False).eval()
    if kind == "width" and not model.is_supernet:
        order_units(network, weight_importance(network, model.inventory()))
    with one_thread():
        with unit():
            lessons = make_lessons(network, samples, model.sos, settings.batch_frames)
            layers = soften(network, choices)
        sizes = []
        for done, eta in enumerate(etas, 1):
            sizes.append(pick_sizes(choices, learn_alphas(network, layers, lessons, eta, settings, unit=unit)))
            if progress is not None:
                progress(done, len(etas))
    subset = f"{len(samples)} utterances"
    return Family(kind, choices, tuple(etas), tuple(sizes), settings, subset, time.monotonic() - began)
