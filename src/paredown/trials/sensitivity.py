"""The analysis a study needs, on the analysis split, from the cache where it was made before.

What is measured: the KL table of every layer at every bit-width, on a few utterances (teacher-forced on the uncompressed bundle's own
hypotheses), and the order in which blocks of a stack go, by chrF of the bundle without them. Each has its own entry in the cache.
"""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np

from paredown.analysis.kl import Measure, measure_kl
from paredown.analysis.result import WIDTHS, Analysis
from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.search.space_section import SpaceSection
from paredown.space.inventory import Inventory
from paredown.trials.block_order import BlockOrdering, OrderRule
from paredown.trials.cached import cached
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import uncompressed
from paredown.trials.teacher_forced import read_features
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop


@dataclass(frozen=True)
class AnalysisSettings:
    """What to measure, on how much of the analysis split; 0 utterances: it is not needed.

    Utterances are spread evenly over the lengths. `measure`: of what the divergence is taken (`analysis/kl.py`). `orders`: stacks whose
    blocks are ordered, each down to how few, by `order`.
    """

    kl_utterances: int = 20
    measure: Measure = "posteriors"
    orders: tuple[tuple[str, int], ...] = (("decoder", 2),)
    order: OrderRule = field(default_factory=OrderRule)

    @classmethod
    def for_space(cls, section: SpaceSection, inventory: Inventory) -> Self:
        """Only what the axes of the study need."""
        kl, blocks, layers = (cls.kl_utterances if section.bits else 0), dict(inventory.blocks), section.layers
        measure: Measure = section.bits.sensitivity if section.bits else "posteriors"
        if layers is None:
            return cls(kl, measure, orders=())
        orders = tuple((stack, low) for stack, (low, _) in layers.ranges.items() if low < blocks[stack])
        return cls(kl, measure, orders, order=OrderRule(layers.rule, layers.by, layers.protect))


@dataclass(frozen=True)
class Analysed:
    """The analysis, and the seconds it took now (0.0 where all of it came from the cache)."""

    analysis: Analysis
    seconds: float


def analyse(model: Model, split: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, tell: Teller) -> Analysed:
    """The analysis of `model` on `split`; its parts are kept in the user's cache by the digests of model, data and settings."""
    began, rule = time.monotonic(), settings.order
    parts = []
    if settings.kl_utterances:
        what, keys = f"KL of every layer at every bit-width ({settings.measure})", {"measure": settings.measure}
        listen = partial(_sensitivities, model, workshop, decoder, tell, settings.measure)
        parts.append(cached(model, split, what, Analysis, keys, settings.kl_utterances, listen, tell))
    ordering = BlockOrdering(model, workshop, decoder, tell)
    for stack, least in settings.orders:
        what, keys = f"order of the {stack} blocks by {rule}", rule.to_dict() | {"least": least}
        order = partial(ordering, stack, least, rule)
        parts.append(cached(model, split, what, Analysis, keys, rule.utterances, order, tell))
    kl = parts[0] if settings.kl_utterances else None
    whole = Analysis(
        paths=kl.paths if kl else (),
        kl=kl.kl if kl else np.zeros((0, len(WIDTHS))),
        layer_order={stack: order for found in parts for stack, order in found.layer_order.items()},
        subset="; ".join(found.subset for found in parts),
        seconds=sum(found.seconds for found in parts),
    )
    return Analysed(whole, time.monotonic() - began)


def _sensitivities(model: Model, workshop: Workshop, decoder: Decoder, tell: Teller, measure: Measure, subset: Split) -> Analysis:
    began = time.monotonic()
    layers = tuple(layer.path for layer in model.inventory().layers)
    samples = read_samples(model, subset, workshop, decoder)

    def progress(done: int, total: int) -> None:
        tell.progress("layers", done, total)

    kl = measure_kl(
        model.network, layers, samples, model.sos, measure=measure, threads=decoder.workers, progress=progress, unit=machine_share
    )
    return Analysis(layers, kl, {}, f"KL of the {measure.replace('_', ' ')} on {len(subset)} utterances", time.monotonic() - began)


def read_samples(model: Model, split: Split, workshop: Workshop, decoder: Decoder) -> tuple[Sample, ...]:
    """Features and the uncompressed model's own hypotheses, for teacher forcing."""
    found = decoder.decode(workshop.build(uncompressed(model)), split)
    return tuple(Sample(feature, hypothesis.ids) for feature, hypothesis in zip(read_features(model, split), found, strict=True))
