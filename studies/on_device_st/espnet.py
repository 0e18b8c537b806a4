"""ESPnet's own decoding in torch, as the paper ran it: free, and at a fixed number of tokens; plain, pruned, dynamically quantized."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from paredown.compress.network import compress_model, dense_network
from paredown.errors import BadInput
from paredown.models import Model
from paredown.space.configuration import Configuration


@dataclass(frozen=True)
class Espnet:
    """`free` ends where the model does, `fixed` never takes eos."""

    model: Model
    free: Any
    fixed: Any

    @classmethod
    def of(cls, model: Model, beam_size: int) -> "Espnet":
        """Decoder alone. Raises BadInput for a model that is decoded with its CTC."""
        return cls(model, _search(model, beam_size, {}), _search(model, beam_size, {"without_eos": _never(model)}))

    @torch.inference_mode()
    def ids(self, waveform: Any, tokens: int | None = None) -> list[int]:
        """Token ids of the best hypothesis of a waveform [samples], without sos and eos; `tokens`: so many, whatever the model says."""
        memory = self.model.encode(self.model.features(waveform))
        search, length = (self.free, 0.0) if tokens is None else (self.fixed, -float(tokens))
        return [token for token in search(memory, maxlenratio=length, minlenratio=0.0)[0].yseq[1:-1].tolist() if token != 0]


def pruned(model: Model, configuration: Configuration) -> Model:
    """The model with what the configuration removes at zero, in full precision."""
    return replace(model, network=dense_network(model, compress_model(model, configuration)))


def quantized(model: Model, dtype: torch.dtype) -> Model:
    """With torch's dynamic quantization of every linear layer, qint8 or float16, as ESPnet does it.

    Raises BadInput where this torch has none.
    """
    quantize: Callable[..., Any] | None = getattr(getattr(torch.ao, "quantization", None), "quantize_dynamic", None)
    if quantize is None:
        raise BadInput(f"torch {torch.__version__} has no torch.ao.quantization.quantize_dynamic")
    try:
        return replace(model, network=quantize(model.network, {torch.nn.Linear}, dtype=dtype))
    except (RuntimeError, NotImplementedError) as error:
        raise BadInput(f"torch {torch.__version__} does not quantize to {dtype} here: {str(error).splitlines()[0]}") from None


def _search(model: Model, beam_size: int, scorers: dict[str, Any]) -> Any:
    """Without a token list: it would only serve log lines, which ESPnet puts together at every step."""
    from espnet.nets.batch_beam_search import BatchBeamSearch

    scorers = {"decoder": model.network.decoder, **scorers}
    return BatchBeamSearch(
        beam_size=beam_size,
        weights=dict.fromkeys(scorers, 1.0),
        scorers=scorers,
        sos=model.sos,
        eos=model.eos,
        vocab_size=len(model.tokens),
        pre_beam_score_key="full",
    ).eval()


def _never(model: Model) -> Any:
    """A scorer of minus infinity for eos and nothing for the others."""
    from espnet.nets.scorer_interface import BatchScorerInterface

    class Never(BatchScorerInterface):  # type: ignore[misc]
        def __init__(self) -> None:
            self._scores = torch.zeros(1, len(model.tokens))
            self._scores[0, model.eos] = -torch.inf

        def batch_score(self, ys: torch.Tensor, states: list[Any], xs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
            return self._scores.expand(len(ys), -1), [None] * len(ys)

    return Never()
