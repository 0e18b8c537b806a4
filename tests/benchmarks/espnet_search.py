"""ESPnet's own decoding on a loaded model: the yardstick of parity tests and benchmarks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from paredown.models import Model

FORBIDDEN = "without_eos"


@dataclass(frozen=True)
class EspnetTranslator:
    """Translates a waveform [samples] with ESPnet's encoder and BatchBeamSearch, as `espnet2.bin` sets them up for ST and ASR.

    Without a token list: it would only serve log lines, which ESPnet puts together at every step.
    """

    model: Model
    search: Any

    @classmethod
    def of(cls, model: Model, beam_size: int = 10, ctc_weight: float = 0.0, without_eos: bool = False) -> "EspnetTranslator":
        """`without_eos`: no hypothesis ends before the length limit, so that the work does not depend on what the model says."""
        return cls(model, build_search(model, beam_size, ctc_weight, without_eos))

    @torch.inference_mode()
    def features(self, waveform: Any) -> Any:
        return self.model.features(waveform)

    @torch.inference_mode()
    def encode(self, features: Any) -> Any:
        """The encoder's states [S, width]."""
        return self.model.encode(features)

    @torch.inference_mode()
    def decode(self, memory: Any, maxlenratio: float = 0.0) -> tuple[int, ...]:
        """Token ids of the best hypothesis, without sos and eos; a negative `maxlenratio` is a number of tokens."""
        best = self.search(memory, maxlenratio=maxlenratio, minlenratio=0.0)[0]
        return tuple(best.yseq[1:-1].tolist())

    def ids(self, waveform: Any, maxlenratio: float = 0.0) -> tuple[int, ...]:
        """All of it."""
        return self.decode(self.encode(self.features(waveform)), maxlenratio)


def build_search(model: Model, beam_size: int, ctc_weight: float, without_eos: bool) -> Any:
    """ESPnet's BatchBeamSearch: decoder alone, or with CTC prefix scores of the tokens that the decoder finds best."""
    from espnet.nets.batch_beam_search import BatchBeamSearch
    from espnet.nets.scorers.ctc import CTCPrefixScorer

    network = model.network
    scorers: dict[str, Any] = {"decoder": network.decoder}
    weights = {"decoder": 1.0 - ctc_weight, "ctc": ctc_weight, FORBIDDEN: 1.0}
    if ctc_weight > 0:
        scorers["ctc"] = CTCPrefixScorer(ctc=network.output_ctc, eos=model.eos)
    if without_eos:
        scorers[FORBIDDEN] = _forbid(model.eos, len(model.tokens))
    search = BatchBeamSearch(
        beam_size=beam_size,
        weights=weights,
        scorers=scorers,
        sos=model.sos,
        eos=model.eos,
        vocab_size=len(model.tokens),
        pre_beam_score_key="full",
    )
    return search.eval()


def _forbid(token: int, vocabulary: int) -> Any:
    """A scorer of minus infinity for one token and nothing for the others."""
    from espnet.nets.scorer_interface import BatchScorerInterface

    class Forbid(BatchScorerInterface):
        def __init__(self) -> None:
            self._scores = torch.zeros(1, vocabulary)
            self._scores[0, token] = -torch.inf

        def batch_score(self, ys: torch.Tensor, states: list[Any], xs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
            return self._scores.expand(len(ys), -1), [None] * len(ys)

    return Forbid()


def quantize_linear(model: Model, dtype: torch.dtype) -> Model:
    """The model with torch's dynamic quantization of all linear layers: qint8, or weights in float16.

    As `espnet2.bin` does it with `quantize_asr_model`, which the on-device paper compares. Raises RuntimeError where torch has none.
    """
    quantize: Callable[..., Any] | None = getattr(getattr(torch.ao, "quantization", None), "quantize_dynamic", None)
    if quantize is None:
        raise RuntimeError(f"torch {torch.__version__} has no torch.ao.quantization.quantize_dynamic")
    return replace(model, network=quantize(model.network, {torch.nn.Linear}, dtype=dtype))
