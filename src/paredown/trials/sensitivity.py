"""The analysis a study needs, on the analysis split, from the cache where it was made before.

What is measured: the KL table of every layer at every bit-width, on a few utterances (teacher-forced on the uncompressed bundle's own
hypotheses), and the order in which decoder blocks go, by chrF of the bundle without them. Each has its own entry in the cache.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.kl import measure_kl
from paredown.analysis.layer_order import greedy_order
from paredown.analysis.result import WIDTHS, Analysis
from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.profilers.machine_lock import machine_share
from paredown.quality import score
from paredown.runtime.audio import read_audio
from paredown.search.spec import SpaceSection
from paredown.space.inventory import Inventory
from paredown.trials.decoding import Decoder, Search
from paredown.trials.evaluation import spread_by_length, uncompressed
from paredown.trials.workshop import Workshop


class Teller(Protocol):
    """Who tells the user what goes on: a line for a step, and how far a long one is."""

    def line(self, text: str) -> None: ...
    def progress(self, what: str, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class AnalysisSettings:
    """What to measure, on how much of the analysis split; 0 utterances: it is not needed.

    Utterances are spread evenly over the lengths. `order_beam` is the beam of the greedy order, smaller than the search's because
    only the ranking of blocks matters; `order_least` is how few decoder blocks the order goes down to.
    """

    kl_utterances: int = 20
    order_utterances: int = 60
    order_beam: int = 4
    order_least: int = 2

    @classmethod
    def for_space(cls, section: SpaceSection, inventory: Inventory) -> Self:
        """Only what the axes of the study need."""
        blocks = dict(inventory.blocks)["decoder"]
        least = section.layers.decoder[0] if section.layers else blocks
        kl, order = (cls.kl_utterances if section.bits else 0), (cls.order_utterances if least < blocks else 0)
        return cls(kl_utterances=kl, order_utterances=order, order_least=least)


@dataclass(frozen=True)
class Analysed:
    """The analysis, and the seconds it took now (0.0 where all of it came from the cache)."""

    analysis: Analysis
    seconds: float


def analyse(model: Model, split: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, tell: Teller) -> Analysed:
    """The analysis of `model` on `split`; its parts are kept in the user's cache by the digests of model, data and settings."""
    cache, began, digest = AnalysisCache(), time.monotonic(), split.digest

    def part(kind: str, keys: tuple[str, ...], utterances: int, measure: Callable[[Split], Analysis]) -> Analysis | None:
        if not utterances:
            return None
        key = cache.key(model.digest, digest, {"kind": kind, **{name: asdict(settings)[name] for name in keys}})
        found = cache.load(key)
        tell.line(f"analysis: {kind}, " + (f"from the cache ({found.subset})" if found else f"on {min(utterances, len(split))} utterances"))
        if found is None:
            found = measure(spread_by_length(split, utterances))
            cache.store(key, found)
        return found

    def sensitivities(subset: Split) -> Analysis:
        return _sensitivities(model, subset, workshop, decoder, tell)

    def order(subset: Split) -> Analysis:
        return _decoder_order(model, subset, workshop, decoder, settings, tell)

    kl = part("KL of every layer at every bit-width", ("kl_utterances",), settings.kl_utterances, sensitivities)
    kinds = ("order_utterances", "order_beam", "order_least")
    blocks = part("order of the decoder blocks by chrF", kinds, settings.order_utterances, order)
    parts = [found for found in (kl, blocks) if found is not None]
    whole = Analysis(
        paths=kl.paths if kl else (),
        kl=kl.kl if kl else np.zeros((0, len(WIDTHS))),
        layer_order=blocks.layer_order if blocks else {},
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
    rate_hz = model.frontend.sample_rate_hz
    with machine_share():  # milliseconds an utterance
        features = [model.features(torch.from_numpy(read_audio(utterance.audio, rate_hz))).numpy() for utterance in split.utterances]
    return tuple(Sample(feature, hypothesis.ids) for feature, hypothesis in zip(features, found, strict=True))


def _decoder_order(model: Model, subset: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, tell: Teller) -> Analysis:
    """Greedy removal of decoder blocks by the chrF of the uncompressed bundle without them."""
    began = time.monotonic()
    references = subset.references(model.task)
    blocks = dict(model.inventory().blocks)["decoder"]

    def quality(kept: tuple[int, ...]) -> float:
        configuration = replace(uncompressed(model), keep=(("decoder", kept),))
        found = decoder.decode(workshop.build(configuration), subset, Search(beam_size=settings.order_beam))
        workshop.discard(configuration)
        return score("chrf", [hypothesis.text for hypothesis in found], references).value

    order = greedy_order(
        range(blocks), quality, minimum=settings.order_least, progress=lambda done, total: tell.progress("models", done, total)
    )
    words = f"order of blocks on {len(subset)} utterances with beam {settings.order_beam}"
    return Analysis((), np.zeros((0, len(WIDTHS))), {"decoder": order}, words, time.monotonic() - began)
