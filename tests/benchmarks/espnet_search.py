"""ESPnet's own beam search on a loaded model: the yardstick of parity tests and benchmarks."""

from dataclasses import dataclass
from typing import Any

import torch

from paredown.models import Model
from studies.bundled_model.score import build_search


@dataclass(frozen=True)
class EspnetTranslator:
    """Translates a waveform [samples] with ESPnet's encoder and BatchBeamSearch, as `espnet2.bin.st_inference` sets them up."""

    model: Model
    search: Any

    @classmethod
    def of(cls, model: Model, beam_size: int = 10) -> "EspnetTranslator":
        return cls(model, build_search(model, beam_size))

    @torch.inference_mode()
    def ids(self, waveform: Any, maxlenratio: float = 0.0) -> tuple[int, ...]:
        """Token ids of the best hypothesis, without sos and eos."""
        features = self.model.features(waveform)
        memory, _, _ = self.model.network.encoder(features[None], torch.tensor([len(features)]))
        best = self.search(memory[0], maxlenratio=maxlenratio, minlenratio=0.0)[0]
        return tuple(int(token) for token in best.yseq[1:-1])
