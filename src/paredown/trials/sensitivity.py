"""The analysis a study needs, on the analysis split, from the cache where it was made before.

What is measured: the KL table of every layer at every bit-width, on a few utterances (teacher-forced on the uncompressed bundle's own
hypotheses), and the order in which blocks of a stack go, by chrF of the bundle without them. Each has its own entry in the cache.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.kl import measure_kl
from paredown.analysis.result import WIDTHS, Analysis
from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.search.space_section import SpaceSection
from paredown.space.inventory import Inventory
from paredown.trials.block_order import BlockOrdering, OrderRule
from paredown.trials.decoding import Decoder
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.teacher_forced import read_features
from paredown.trials.teller import Teller
from paredown.trials.workshop import Workshop


@dataclass(frozen=True)
class AnalysisSettings:
    """What to measure, on how much of the analysis split; 0 utterances: it is not needed.

    Utterances are spread evenly over the lengths. `orders`: stacks whose blocks are ordered, each down to how few, by `order`.
    """

    kl_utterances: int = 20
    orders: tuple[tuple[str, int], ...] = (("decoder", 2),)
    order: OrderRule = field(default_factory=OrderRule)

    @classmethod
    def for_space(cls, section: SpaceSection, inventory: Inventory) -> Self:
        """Only what the axes of the study need."""
        kl, blocks, layers = (cls.kl_utterances if section.bits else 0), dict(inventory.blocks), section.layers
        if layers is None:
            return cls(kl_utterances=kl, orders=())
        orders = tuple((stack, low) for stack, (low, _) in layers.ranges.items() if low < blocks[stack])
        return cls(kl_utterances=kl, orders=orders, order=OrderRule(layers.rule, layers.by, layers.protect))


@dataclass(frozen=True)
class Analysed:
    """The analysis, and the seconds it took now (0.0 where all of it came from the cache)."""

    analysis: Analysis
    seconds: float


def analyse(model: Model, split: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, tell: Teller) -> Analysed:
    """The analysis of `model` on `split`; its parts are kept in the user's cache by the digests of model, data and settings."""
    cache, began, digest, rule = AnalysisCache(), time.monotonic(), split.digest, settings.order

    def part(kind: str, keys: Mapping[str, Any], utterances: int, measure: Callable[[Split], Analysis]) -> Analysis | None:
        if not utterances:
            return None
        key = cache.key(model.digest, digest, {"kind": kind, "utterances": utterances, **keys})
        found = cache.load(key, Analysis)
        tell.line(f"analysis: {kind}, " + (f"from the cache ({found.subset})" if found else f"on {min(utterances, len(split))} utterances"))
        if found is None:
            found = measure(spread_by_length(split, utterances))
            cache.store(key, found)
        return found

    def sensitivities(subset: Split) -> Analysis:
        return _sensitivities(model, subset, workshop, decoder, tell)

    kl = part("KL of every layer at every bit-width", {}, settings.kl_utterances, sensitivities)
    ordering = BlockOrdering(model, workshop, decoder, tell)
    orders = [
        part(
            f"order of the {stack} blocks by {rule}",
            rule.to_dict() | {"least": least},
            rule.utterances,
            partial(ordering, stack, least, rule),
        )
        for stack, least in settings.orders
    ]
    parts = [found for found in (kl, *orders) if found is not None]
    whole = Analysis(
        paths=kl.paths if kl else (),
        kl=kl.kl if kl else np.zeros((0, len(WIDTHS))),
        layer_order={stack: order for found in parts for stack, order in found.layer_order.items()},
        subset="; ".join(found.subset for found in parts),
        seconds=sum(found.seconds for found in parts),
    )
    return Analysed(whole, time.monotonic() - began)


def _sensitivities(model: Model, subset: Split, workshop: Workshop, decoder: Decoder, tell: Teller) -> Analysis:
    began = time.monotonic()
    layers = tuple(layer.path for layer in model.inventory().layers)
    samples = read_samples(model, subset, workshop, decoder)

    def progress(done: int, total: int) -> None:
        tell.progress("layers", done, total)

    kl = measure_kl(model.network, layers, samples, model.sos, threads=decoder.workers, progress=progress, unit=machine_share)
    return Analysis(layers, kl, {}, f"KL on {len(subset)} utterances", time.monotonic() - began)


def read_samples(model: Model, split: Split, workshop: Workshop, decoder: Decoder) -> tuple[Sample, ...]:
    """Features and the uncompressed model's own hypotheses, for teacher forcing."""
    found = decoder.decode(workshop.build(uncompressed(model)), split)
    return tuple(Sample(feature, hypothesis.ids) for feature, hypothesis in zip(read_features(model, split), found, strict=True))
