"""The analysis a study needs, on the analysis split, from the cache where it was made before.

What is measured: the KL table of every layer at every bit-width, on the first utterances (teacher-forced on the uncompressed bundle's own
hypotheses), and the order in which decoder blocks go, by chrF of the bundle without them.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Self

import numpy as np
import torch

from paredown.analysis.cache import AnalysisCache
from paredown.analysis.kl import measure_kl
from paredown.analysis.layer_order import LayerOrder, greedy_order
from paredown.analysis.result import WIDTHS, Analysis
from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.quality import score
from paredown.runtime.audio import read_audio
from paredown.search.spec import SpaceSection
from paredown.space.configuration import Configuration
from paredown.trials.decoding import Decoder, Search
from paredown.trials.evaluation import UNCOMPRESSED, spread_by_length
from paredown.trials.workshop import Workshop

Say = Callable[[str], None]


@dataclass(frozen=True)
class AnalysisSettings:
    """What to measure, on how much of the analysis split.

    `kl_utterances` and `order_utterances` are spread evenly over the lengths; `order_beam` is the beam of the greedy order, smaller
    than the search's because only the ranking of blocks matters; `decoder_least` is how few decoder blocks the order goes down to
    (0: the order is not needed).
    """

    kl_utterances: int = 20
    order_utterances: int = 60
    order_beam: int = 4
    decoder_least: int = 1
    sensitivity: bool = True

    @classmethod
    def for_space(cls, section: SpaceSection) -> Self:
        """Only what the axes of the study need."""
        return cls(decoder_least=section.layers.decoder[0] if section.layers else 0, sensitivity=section.bits is not None)


@dataclass(frozen=True)
class Analysed:
    """The analysis, and the seconds it took now (0.0 where it came from the cache)."""

    analysis: Analysis
    seconds: float


def analyse(model: Model, split: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, say: Say) -> Analysed:
    """The analysis of `model` on `split`; kept in the user's cache by the digests of model, data and settings."""
    cache = AnalysisCache()
    key = cache.key(model.digest, split.digest, asdict(settings))
    found = cache.load(key)
    if found is not None:
        say(f"analysis: from the cache ({found.subset})")
        return Analysed(found, 0.0)
    began = time.monotonic()
    layers = tuple(layer.path for layer in model.inventory().layers)
    samples = read_samples(model, spread_by_length(split, settings.kl_utterances), workshop, decoder) if settings.sensitivity else ()
    kl = np.zeros((0, len(WIDTHS)))
    if samples:
        say(f"analysis: KL of {len(layers)} layers at {len(WIDTHS)} bit-widths on {len(samples)} utterances")
        kl = measure_kl(model.network, layers, samples, model.sos, threads=decoder.workers)
    order = _decoder_order(model, split, workshop, decoder, settings, say)
    seconds = time.monotonic() - began
    subset = f"{len(samples)} utterances for KL, {settings.order_utterances if order else 0} for the order of blocks, of {len(split)}"
    analysis = Analysis(layers if samples else (), kl, {"decoder": order} if order else {}, subset, seconds)
    cache.store(key, analysis)
    say(f"analysis: {seconds:.0f} s")
    return Analysed(analysis, seconds)


def read_samples(model: Model, split: Split, workshop: Workshop, decoder: Decoder) -> tuple[Sample, ...]:
    """Features and the uncompressed model's own hypotheses, for teacher forcing."""
    found = decoder.decode(workshop.build(UNCOMPRESSED), split)
    rate_hz = model.frontend.sample_rate_hz
    features = (model.features(torch.from_numpy(read_audio(utterance.audio, rate_hz))).numpy() for utterance in split.utterances)
    return tuple(Sample(feature, hypothesis.ids) for feature, hypothesis in zip(features, found, strict=True))


def _decoder_order(
    model: Model, split: Split, workshop: Workshop, decoder: Decoder, settings: AnalysisSettings, say: Say
) -> LayerOrder | None:
    """Greedy removal of decoder blocks by the chrF of the uncompressed bundle without them."""
    blocks = dict(model.inventory().blocks)["decoder"]
    if not settings.decoder_least or settings.decoder_least >= blocks:
        return None
    subset = spread_by_length(split, settings.order_utterances)
    references = subset.references(model.task)
    say(f"analysis: order of {blocks} decoder blocks by chrF on {len(subset)} utterances, beam {settings.order_beam}")

    def quality(kept: tuple[int, ...]) -> float:
        configuration = replace(UNCOMPRESSED, keep=(("decoder", kept),)) if len(kept) < blocks else UNCOMPRESSED
        found = decoder.decode(workshop.build(configuration), subset, Search(beam_size=settings.order_beam))
        _discard(workshop, configuration)
        return score("chrf", [hypothesis.text for hypothesis in found], references).value

    return greedy_order(range(blocks), quality, minimum=settings.decoder_least)


def _discard(workshop: Workshop, configuration: Configuration) -> None:
    """Bundles of a single use go at once; the uncompressed one is needed again."""
    if configuration != UNCOMPRESSED:
        workshop.discard(configuration)
