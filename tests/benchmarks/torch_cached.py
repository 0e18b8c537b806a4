"""The fair torch baseline: ESPnet's encoder, a decoder with cached keys and values, and the very beam search that bundles run.

So only what computes the network differs from a bundle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paredown.models import Model
from paredown.models.cached_decoder import CachedDecoder, Product, join_linear
from paredown.runtime.beam import BeamSettings, beam_search, beam_search_fixed

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


class TorchSteps:
    """The cached decoder as beam search wants it (`paredown.runtime.beam.StepModel`)."""

    def __init__(self, decoder: CachedDecoder) -> None:
        self._decoder = decoder
        self._log_probs = torch.zeros(0)

    def start(self) -> None:
        self._decoder.start()

    def step(self, tokens: Ids, position: int, order: Ids, k: int) -> tuple[Floats, Ids]:
        self._log_probs = self._decoder.step(torch.from_numpy(tokens), position, torch.from_numpy(order))
        scores, ids = torch.topk(self._log_probs, k)
        return scores.numpy(), ids.numpy()

    def log_probs_of(self, token: int) -> Floats:
        column: Floats = self._log_probs[:, token].numpy()
        return column


@dataclass(frozen=True)
class CachedTranslator:
    """Translates a waveform [samples]; stages as those of `EspnetTranslator`."""

    model: Model
    decoder: CachedDecoder
    settings: BeamSettings

    @classmethod
    def of(cls, model: Model, beam_size: int = 10, join: Any = join_linear) -> "CachedTranslator":
        with torch.inference_mode():
            decoder = CachedDecoder(model.network.decoder, join)
        return cls(model, decoder, BeamSettings(beam_size, len(model.tokens), model.sos, model.eos))

    @torch.inference_mode()
    def features(self, waveform: Any) -> Any:
        return self.model.features(waveform)

    @torch.inference_mode()
    def encode(self, features: Any) -> Any:
        """The encoder's states [S, width]."""
        return self.model.encode(features)

    @torch.inference_mode()
    def decode(self, memory: Any, fixed_tokens: int | None = None) -> tuple[int, ...]:
        """Token ids of the best hypothesis, without sos and eos."""
        self.decoder.listen(memory)
        steps = TorchSteps(self.decoder)
        if fixed_tokens is not None:
            return beam_search_fixed(steps, fixed_tokens, self.settings)[0].ids[1:]
        return beam_search(steps, len(memory), self.settings)[0].ids[1:-1]


def join_packed(layers: Sequence[Any]) -> Product:
    """A product over weights in oneDNN's own layout. torch does this in compiled code alone: its operator is private and may change."""
    weight, bias = torch.cat([layer.weight for layer in layers]).detach(), torch.cat([layer.bias for layer in layers]).detach()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 10)
    return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
