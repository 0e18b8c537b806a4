"""The loss of a model without some of its blocks, teacher-forced on references: a cheap sign of what removing them costs.

    (1 - c) * cross entropy of the decoder  +  c * CTC loss

in nats, summed over the tokens of an utterance (its end included) and averaged over utterances, as ESPnet trains (without label smoothing);
c is the weight of the CTC over the output text, 0 where there is none. By it blocks can go one at a time where decoding for every
candidate (IWSLT 2025 paper, 3.3) costs too much; a loss sees no search and no wrong prefix. One utterance at a time, without padding.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from paredown.analysis.spread import spread
from paredown.analysis.stages import EncoderState, Sample, decode_from, decoder_block, embed_features, encoder_block, finish_encoder
from paredown.models.network import Network

Blocks = tuple[int, ...]


@dataclass(frozen=True)
class _Utterance:
    """What the decoder reads [1, positions] and should say [positions], and the way through the blocks `kept` of a stack.

    `states[i]` enters the i-th of them, the last one leaves the stack. `memory` is the encoder's output and `ctc` the CTC loss over it,
    where the blocks are the decoder's, which change neither; None where they are the encoder's.
    """

    read: Tensor
    said: Tensor
    kept: Blocks
    states: tuple[EncoderState, ...]
    memory: Tensor | None
    ctc: float


class BlockLoss:
    """The loss with some blocks of one stack alone, on a few utterances; call it with the blocks that are kept, lower is better.

    A call starts in front of the first block that is missing; `settle` says on which blocks the next calls build.
    """

    def __init__(
        self,
        network: Network,
        stack: str,
        samples: Sequence[Sample],
        sos: int,
        *,
        ctc_weight: float = 0.0,
        threads: int = 1,
        unit: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`samples` hold the ids of references. Each utterance is computed inside a `unit()`, on one of `threads`.

        Raises ValueError without an utterance, for an unknown stack, and for a CTC weight without a CTC over the output text.
        """
        if not samples:
            raise ValueError("a loss needs at least one utterance, got none")
        if stack not in ("encoder", "decoder"):
            raise ValueError(f"a stack is the encoder or the decoder, got {stack!r}")
        if not 0.0 <= ctc_weight <= 1.0 or (ctc_weight > 0 and network.output_ctc is None):
            raise ValueError(f"the CTC weight must lie in [0, 1], and be 0 without a CTC over the output text, got {ctc_weight}")
        self._network, self._ctc_weight, self._threads, self._unit = network, ctc_weight, threads, unit
        listen = _listen_to_encoder if stack == "encoder" else _listen_to_decoder
        self._utterances = spread(network, samples, lambda own, sample: listen(own, sample, sos, ctc_weight), threads=threads, unit=unit)

    def __call__(self, kept: Blocks) -> float:
        """Nats per utterance."""
        losses = spread(
            self._network,
            self._utterances,
            lambda own, utterance: _loss(own, utterance, kept, self._ctc_weight),
            threads=self._threads,
            unit=self._unit,
        )
        return sum(losses) / len(losses)

    def settle(self, kept: Blocks) -> None:
        """Make these the blocks that the next calls leave single ones out of."""
        self._utterances = spread(
            self._network, self._utterances, lambda own, utterance: _follow(own, utterance, kept), threads=self._threads, unit=self._unit
        )


def _listen_to_encoder(network: Network, sample: Sample, sos: int, _ctc_weight: float) -> _Utterance:
    """The way through the whole encoder."""
    entering = embed_features(network, torch.tensor(sample.features)[None])
    utterance = _Utterance(*_tokens(sample, sos), kept=(), states=(entering,), memory=None, ctc=0.0)
    return _follow(network, utterance, tuple(range(len(network.encoder.encoders))))


def _listen_to_decoder(network: Network, sample: Sample, sos: int, ctc_weight: float) -> _Utterance:
    """The way through the whole decoder."""
    state = embed_features(network, torch.tensor(sample.features)[None])
    for block in network.encoder.encoders:
        state = encoder_block(block, state)
    memory, (read, said) = finish_encoder(network, state), _tokens(sample, sos)
    ctc = _ctc_loss(network, memory, said[:-1]) if ctc_weight > 0 else 0.0
    utterance = _Utterance(read, said, kept=(), states=(network.decoder.embed(read),), memory=memory, ctc=ctc)
    return _follow(network, utterance, tuple(range(len(network.decoder.decoders))))


def _tokens(sample: Sample, sos: int) -> tuple[Tensor, Tensor]:
    """What the decoder reads and what it should say; ESPnet's models begin and end sentences with one token."""
    return torch.tensor([[sos, *sample.tokens]]), torch.tensor([*sample.tokens, sos])


def _follow(network: Network, utterance: _Utterance, kept: Blocks) -> _Utterance:
    """The utterance's way through other blocks; the states in front of the first other one stay."""
    shared = next((place for place, (new, old) in enumerate(zip(kept, utterance.kept, strict=False)) if new != old), None)
    shared = min(len(kept), len(utterance.kept)) if shared is None else shared
    states = list(utterance.states[: shared + 1])
    for block in kept[shared:]:
        if utterance.memory is None:
            states.append(encoder_block(network.encoder.encoders[block], states[-1]))
        else:
            states.append(decoder_block(network.decoder.decoders[block], cast(Tensor, states[-1]), utterance.memory))
    return replace(utterance, kept=kept, states=tuple(states))


def _loss(network: Network, utterance: _Utterance, kept: Blocks, ctc_weight: float) -> float:
    last, memory, ctc = _follow(network, utterance, kept).states[-1], utterance.memory, utterance.ctc
    if memory is None:
        memory = finish_encoder(network, last)
        logits = decode_from(network, 0, network.decoder.embed(utterance.read), memory)
        ctc = _ctc_loss(network, memory, utterance.said[:-1]) if ctc_weight > 0 else 0.0
    else:
        logits = decode_from(network, len(network.decoder.decoders), cast(Tensor, last), memory)
    attention = functional.cross_entropy(logits[0].double(), utterance.said, reduction="sum")
    return (1.0 - ctc_weight) * float(attention) + ctc_weight * ctc


def _ctc_loss(network: Network, memory: Tensor, tokens: Tensor) -> float:
    """ESPnet's: the text without its end; 0 where it does not fit into the frames, as in training."""
    assert network.output_ctc is not None  # BlockLoss refuses a weight without it
    log_posteriors = torch.log_softmax(network.output_ctc.ctc_lo(memory[0]).double(), dim=-1)
    lengths = torch.tensor(len(log_posteriors)), torch.tensor(len(tokens))
    return float(functional.ctc_loss(log_posteriors, tokens, *lengths, reduction="sum", zero_infinity=True))
