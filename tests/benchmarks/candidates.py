"""What is timed side by side: each decodes a waveform stage by stage and says what it decoded."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import torch
from numpy.typing import NDArray

from paredown.runtime import Translator
from tests.benchmarks.espnet_search import EspnetTranslator
from tests.benchmarks.torch_cached import CachedTranslator


@dataclass(frozen=True)
class Decoded:
    """Milliseconds of the stages of one decoding, of all of it, and the token ids that it found (no sos, eos or blank)."""

    features_ms: float
    encoder_ms: float
    search_ms: float
    total_ms: float
    ids: tuple[int, ...]


class Candidate(Protocol):
    """One runtime with one model."""

    def decode(self, waveform: Any, tokens: int | None) -> Decoded:
        """Decode a waveform [samples]: `tokens` tokens whatever the model says, or (None) until it ends by itself."""
        ...


@dataclass(frozen=True)
class Espnet:
    """ESPnet's own decoding. One search ends by itself, the other never takes eos."""

    free: EspnetTranslator
    fixed: EspnetTranslator

    @classmethod
    def of(cls, model: Any, beam_size: int, ctc_weight: float = 0.0) -> "Espnet":
        return cls(*(EspnetTranslator.of(model, beam_size, ctc_weight, without_eos) for without_eos in (False, True)))

    def decode(self, waveform: Any, tokens: int | None) -> Decoded:
        if tokens is None:
            return _run([lambda _: self.free.features(waveform), self.free.encode, self.free.decode])
        return _run([lambda _: self.fixed.features(waveform), self.fixed.encode, lambda memory: self.fixed.decode(memory, -float(tokens))])


@dataclass(frozen=True)
class Cached:
    """The torch decoder with cached keys and values."""

    translator: CachedTranslator

    def decode(self, waveform: Any, tokens: int | None) -> Decoded:
        own = self.translator
        return _run([lambda _: own.features(waveform), own.encode, lambda memory: own.decode(memory, tokens)])


@dataclass(frozen=True)
class Bundle:
    """A bundle, through the call that its users make."""

    translator: Translator

    @classmethod
    def of(cls, path: Any, threads: int, ctc_weight: float = 0.0) -> "Bundle":
        return cls(Translator.from_bundle(path, threads=threads, beam_size=10, ctc_weight=ctc_weight))

    def with_beam(self, beam_size: int) -> "Bundle":
        """The same sessions with another beam."""
        return Bundle(replace(self.translator, settings=replace(self.translator.settings, beam_size=beam_size)))

    def decode(self, waveform: NDArray[Any], tokens: int | None) -> Decoded:
        began = time.perf_counter()
        result = self.translator.translate(waveform, fixed_tokens=tokens)
        total_ms = 1000.0 * (time.perf_counter() - began)
        stages = result.timings
        return Decoded(stages.features_ms, stages.encoder_ms, stages.search_ms, total_ms, result.ids)


def _run(stages: Sequence[Callable[[Any], Any]]) -> Decoded:
    """Each stage on what the one before it gave."""
    clock, value = [time.perf_counter()], None
    with torch.inference_mode():
        for stage in stages:
            value = stage(value)
            clock.append(time.perf_counter())
    features_ms, encoder_ms, search_ms = (1000.0 * (end - begin) for begin, end in pairwise(clock))
    return Decoded(features_ms, encoder_ms, search_ms, 1000.0 * (clock[-1] - clock[0]), tuple(token for token in value if token != 0))
