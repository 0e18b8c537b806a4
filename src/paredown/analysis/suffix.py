"""Passes over a network of which one layer has several weights, side by side, from the last known state in front of the layer on."""

import torch
from torch import Tensor

from paredown.analysis.posteriors import ctc_heads
from paredown.analysis.stages import EncoderState, Trace, decode_from, embed_features, encode_from, place_of
from paredown.analysis.variants import Variants
from paredown.models.network import Network

# Parts of an encoder block that only add to what runs through it, so that one row may enter the block and become many at the layer.
# Attention and the two branches of an e_branchformer join several inputs, which must have equally many rows.
_SPLITS_BY_ITSELF = ("feed_forward", "feed_forward_macaron", "conv_module", "merge_proj")


def encoded(network: Network, path: str, layer: Variants, states: Trace, *, side_by_side: bool) -> Tensor:
    """The encoder's output [variants, steps, width] with each weight of this layer of the encoder."""
    block = place_of(network, path)[1]
    return layer.run(side_by_side, lambda variants: _encoded(network, path, block, states, variants))


def ctc_logits(network: Network, memory: Tensor, *, side_by_side: bool) -> dict[str, Tensor]:
    """Logits [variants, frames, tokens] of every CTC over such outputs."""
    batches = [memory] if side_by_side else torch.split(memory, 1)
    return {name: torch.cat([head.ctc_lo(batch) for batch in batches]) for name, head in ctc_heads(network).items()}


def decoder_logits(network: Network, memory: Tensor, states: Trace, *, side_by_side: bool) -> Tensor:
    """Logits [variants, positions, tokens] of the decoder over such outputs."""
    batches = [memory] if side_by_side else torch.split(memory, 1)
    return torch.cat([decode_from(network, 0, states.decoder_states[0].repeat(len(batch), 1, 1), batch) for batch in batches])


def changed_ctc_logits(network: Network, path: str, layer: Variants, states: Trace, *, side_by_side: bool) -> Tensor:
    """Logits [variants, frames, tokens] of the CTC that this layer is."""
    return layer.run(side_by_side, lambda _: network.get_submodule(path)(states.memory))


def changed_decoder_logits(network: Network, path: str, layer: Variants, states: Trace, *, side_by_side: bool) -> Tensor:
    """Logits [variants, positions, tokens] of the decoder with each weight of this layer of the decoder."""
    block = place_of(network, path)[1]

    def decoded(variants: int) -> Tensor:
        memory = states.memory.repeat(variants, 1, 1)
        if block is None:  # the embedding itself makes one row into many
            return decode_from(network, 0, network.decoder.embed(states.tokens), memory)
        return decode_from(network, block, states.decoder_states[block].repeat(variants, 1, 1), memory)

    return layer.run(side_by_side, decoded)


def _encoded(network: Network, path: str, block: int | None, states: Trace, variants: int) -> Tensor:
    if block is None:
        return encode_from(network, 0, embed_features(network, states.features))
    if path.split(".")[3] in _SPLITS_BY_ITSELF:
        return encode_from(network, block, states.encoder_states[block])
    state = repeated(states.encoder_states[block], variants)
    if path.endswith(".linear_pos"):  # reads the positions alone, which all variants share otherwise
        state = (state[0], state[1].repeat(variants, 1, 1))
    return encode_from(network, block, state)


def repeated(state: EncoderState, variants: int) -> EncoderState:
    """A state of one row, for so many variants; relative positions are shared by all rows."""
    if isinstance(state, tuple):
        return state[0].repeat(variants, 1, 1), state[1]
    return state.repeat(variants, 1, 1)
