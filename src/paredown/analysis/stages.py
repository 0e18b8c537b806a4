"""A network cut into stages, so that a pass can start in the middle: what stands in front of a changed layer is computed once.

ESPnet's modules are called exactly as its own forward functions call them, one utterance at a time and therefore without padding, which
conformer convolutions and relative positions would feel. The batch axis is free for variants of one layer instead.
"""

import copy
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from espnet.nets.pytorch_backend.transformer.mask import subsequent_mask
from numpy.typing import NDArray
from torch import Tensor

from paredown.models.network import Network
from paredown.space.inventory import block_of

Part = Literal["encoder", "decoder", "ctc", "st_ctc"]
EncoderState = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sample:
    """One utterance: normalised features [frames, mels] float32, and the tokens that the decoder follows, without sos and end.

    They are those of the uncompressed model's own hypothesis, or of the reference.
    """

    features: NDArray[np.float32]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """One utterance's way through the network, kept at every place where a pass can start; batch 1 everywhere.

    `encoder_states[b]` enters encoder block b, the last one leaves the stack; `decoder_states` likewise. `memory` is the encoder's output.
    """

    features: Tensor
    tokens: Tensor
    encoder_states: tuple[EncoderState, ...]
    memory: Tensor
    decoder_states: tuple[Tensor, ...]


def shared_copy(network: Network) -> Network:
    """A copy in evaluation mode that shares every weight but can have its modules changed, for a thread of its own."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, cast("dict[int, object]", shared)).eval()


def trace(network: Network, sample: Sample, sos: int) -> Trace:
    """Every state of the pass over one utterance; the decoder reads `sos` and the hypothesis (teacher-forced)."""
    features = torch.tensor(sample.features, dtype=next(network.encoder.parameters()).dtype)[None]
    tokens = torch.tensor([[sos, *sample.tokens]])
    encoder_states = [embed_features(network, features)]
    for block in network.encoder.encoders:
        encoder_states.append(encoder_block(block, encoder_states[-1]))
    memory = finish_encoder(network, encoder_states[-1])
    decoder_states = [network.decoder.embed(tokens)]
    for block in network.decoder.decoders:
        decoder_states.append(decoder_block(block, decoder_states[-1], memory))
    return Trace(features, tokens, tuple(encoder_states), memory, tuple(decoder_states))


def embed_features(network: Network, features: Tensor) -> EncoderState:
    """Features [batch, frames, mels] -> what enters the first encoder block: the state, and relative positions where there are some."""
    return cast(EncoderState, network.encoder.embed(features, None)[0])


def encode_from(network: Network, block: int, state: EncoderState) -> Tensor:
    """The state that enters an encoder block -> the encoder's output [batch, steps, width]."""
    for module in network.encoder.encoders[block:]:
        state = encoder_block(module, state)
    return finish_encoder(network, state)


def finish_encoder(network: Network, state: EncoderState) -> Tensor:
    """The state that leaves the last encoder block -> the encoder's output."""
    hidden = state[0] if isinstance(state, tuple) else state
    after_norm = getattr(network.encoder, "after_norm", None)
    return hidden if after_norm is None else cast(Tensor, after_norm(hidden))


def decode_from(network: Network, block: int, state: Tensor, memory: Tensor) -> Tensor:
    """The state that enters a decoder block -> logits [batch, positions, tokens]."""
    for module in network.decoder.decoders[block:]:
        state = decoder_block(module, state, memory)
    after_norm = getattr(network.decoder, "after_norm", None)
    return cast(Tensor, network.decoder.output_layer(state if after_norm is None else after_norm(state)))


def place_of(network: Network, path: str) -> tuple[Part, int | None]:
    """The part that a layer lies in, and the block at which a pass must start: None in front of all blocks, their number behind them."""
    block = block_of(path)
    if block is not None:
        return cast(Part, block[0]), block[1]
    part = path.split(".")[0]
    if part not in ("encoder", "decoder", "ctc", "st_ctc"):
        raise ValueError(f"a layer lies in encoder, decoder, ctc or st_ctc, got {path!r}")
    return cast(Part, part), len(network.decoder.decoders) if path == "decoder.output_layer" else None


def encoder_block(block: torch.nn.Module, state: EncoderState) -> EncoderState:
    """The state behind one encoder block."""
    return cast(EncoderState, block(state, None)[0])


def decoder_block(block: torch.nn.Module, state: Tensor, memory: Tensor) -> Tensor:
    """The state [batch, positions, width] behind one decoder block; each position attends to those before it."""
    causal = subsequent_mask(state.size(1))[None]
    return cast(Tensor, block(state, causal, memory, None)[0])
