"""ESPnet's TransformerDecoder one step at a time, with what a step needs of the steps before it kept as keys and values.

ESPnet's own `forward_one_step` keeps layer outputs, projects them and the encoder's states anew at every step, and does the latter once a
beam. Here the memory's keys and values are projected once an utterance and all beams are queries of that one memory. The keys and values of
self-attention lie in a pool, one row for every hypothesis that was at a step; a mask says which rows are a hypothesis's own, so that
nothing is copied when beams are reordered. The results are those of ESPnet but for the blocking of float32 sums.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from paredown.models.espnet import TransformerDecoder

Product = Callable[[Tensor], Tensor]
_FIRST_ROWS = 64
_SWEPT_ROWS = 32


def join_linear(layers: Sequence[Any]) -> Product:
    """Linear layers over one input as one product, their outputs side by side; a factorized one, alone, is called."""
    if len(layers) == 1 and not hasattr(layers[0], "weight"):
        return call_linear(layers)
    if len(layers) == 1:
        weight, bias = layers[0].weight, layers[0].bias
    else:
        weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return lambda x: functional.linear(x, weight, bias)


def call_linear(layers: Sequence[Any]) -> Product:
    """The same by calling every layer, so that hooks run and layers may be of any kind."""
    if len(layers) == 1:
        return lambda x: layers[0](x)
    return lambda x: torch.cat([layer(x) for layer in layers], dim=-1)


class CachedDecoder:
    """The decoder of one model, and the caches of one search. Call `listen` for every utterance, `start` for every search."""

    def __init__(self, decoder: TransformerDecoder, join: Callable[[Sequence[Any]], Product] = join_linear) -> None:
        """`join` makes a product of linear layers; the decoder's weights must not change afterwards."""
        self._embed, self._positions = decoder.embed[0], decoder.embed[1]
        self._blocks = [_Block(layer, join) for layer in decoder.decoders]
        layers: list[Any] = list(decoder.decoders)
        own, crossings = [layer.self_attn for layer in layers], [layer.src_attn for layer in layers]
        self._dk: int = own[0].d_k
        self._own_heads, self._memory_heads = (_places([attention.h for attention in attentions]) for attentions in (own, crossings))
        self._project_memory = join([crossing.linear_k for crossing in crossings] + [crossing.linear_v for crossing in crossings])
        self._after_norm = decoder.after_norm if decoder.normalize_before else None
        self._output = join([decoder.output_layer])
        self._scale = self._positions.xscale
        self._memory = torch.zeros(0)
        self._pool = torch.zeros(0)
        self._mask = torch.zeros(0)
        self._used = 0
        self._alone = True

    def listen(self, memory: Tensor) -> None:
        """Take the encoder's states of one utterance [S, width] as the memory of the steps that follow."""
        projected = self._project_memory(memory).view(len(memory), 2, -1, self._dk)
        self._memory = projected.permute(1, 2, 0, 3).unsqueeze(1).contiguous()  # [keys and values, 1, heads of all blocks, S, dk]

    def start(self) -> None:
        """Forget the self-attention's keys and values."""
        self._used = 0
        self._alone = True
        self._mask = torch.zeros(1, 0)

    def step(self, tokens: Tensor, position: int, order: Tensor) -> Tensor:
        """Log posteriors [beam, vocabulary] of the tokens that follow.

        `tokens` int64 [beam] are the newest tokens, at `position` (0 is sos); `order` int64 [beam]: hypothesis i continues row
        `order[i]` of the step before.
        """
        mask = self._grow(len(tokens), order)
        used = self._used
        self._positions.extend_pe(torch.zeros(1, position + 1))
        x = self._embed(tokens) * self._scale + self._positions.pe[0, position]
        for block, own, heard in zip(self._blocks, self._own_heads, self._memory_heads, strict=True):
            keys, values = self._pool[:, :, own, :used].unbind()
            x = block.attend_to_itself(x, keys, values, mask)
            x = block.attend_to_memory(x, *self._memory[:, :, heard].unbind())
            x = block.feed_forward(x)
        if self._after_norm is not None:
            x = self._after_norm(x)
        return torch.log_softmax(self._output(x), dim=-1)

    def _grow(self, rows: int, order: Tensor) -> Tensor | None:
        """Make room for `rows` new pool rows, and say who attends to which: added to scores, [beam, rows so far]; None: all to all."""
        past = self._sweep(self._mask[order])
        used, self._used = self._used, self._used + rows
        if self._pool.numel() == 0 or self._used > self._pool.shape[3]:
            pool = torch.zeros(2, 1, self._own_heads[-1].stop, max(_FIRST_ROWS, 2 * self._used), self._dk)
            if used:
                pool[:, :, :, :used] = self._pool[:, :, :, :used]
            self._pool = pool
        itself = torch.full((rows, rows), -torch.inf).fill_diagonal_(0.0)
        self._mask = torch.cat([past, itself], dim=1)
        self._alone = self._alone and rows == 1
        return None if self._alone else self._mask  # one hypothesis at every step: all rows are its own

    def _sweep(self, past: Tensor) -> Tensor:
        """Throw out rows that no hypothesis attends to any more, once there are enough of them to be worth a copy of the others."""
        alive = torch.nonzero((past == 0.0).any(dim=0)).view(-1)
        if self._used - len(alive) < _SWEPT_ROWS:
            return past
        self._pool[:, :, :, : len(alive)] = self._pool[:, :, :, alive]
        self._used = len(alive)
        return past[:, alive]


class _Block:
    """One DecoderLayer on rows [beam, width]."""

    def __init__(self, layer: Any, join: Callable[[Sequence[Any]], Product]) -> None:
        own, crossing, forward = layer.self_attn, layer.src_attn, layer.feed_forward
        self._layer = layer
        self._own_heads, self._cross_heads = own.h, crossing.h
        self._before = layer.normalize_before
        self._concat = layer.concat_after
        self._project = join([own.linear_q, own.linear_k, own.linear_v])
        self._own_out = join([own.linear_out])
        self._query = join([crossing.linear_q])
        self._cross_out = join([crossing.linear_out])
        self._expand, self._contract = join([forward.w_1]), join([forward.w_2])
        self._activation = forward.activation
        self._merge = (join([layer.concat_linear1]), join([layer.concat_linear2])) if layer.concat_after else None

    def attend_to_itself(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Over the pool [1, heads, rows so far, dk], whose last rows are filled here."""
        normed = self._layer.norm1(x) if self._before else x
        by_head = self._project(normed).view(len(x), 3, self._own_heads, -1).permute(1, 2, 0, 3)  # [3, heads, beam, dk]
        keys[0, :, -len(x) :] = by_head[1]
        values[0, :, -len(x) :] = by_head[2]
        context = functional.scaled_dot_product_attention(by_head[None, 0], keys, values, attn_mask=mask)
        return self._leave(x, normed, self._own_out(_as_rows(context)), 0)

    def attend_to_memory(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """All beams as queries of the memory [1, heads, S, dk]."""
        normed = self._layer.norm2(x) if self._before else x
        query = self._query(normed).view(1, len(x), self._cross_heads, -1).transpose(1, 2)
        context = functional.scaled_dot_product_attention(query, keys, values)
        return self._leave(x, normed, self._cross_out(_as_rows(context)), 1)

    def feed_forward(self, x: Tensor) -> Tensor:
        """w_2(activation(w_1(x)))."""
        normed = self._layer.norm3(x) if self._before else x
        total = x + self._contract(self._activation(self._expand(normed)))
        return total if self._before else self._layer.norm3(total)

    def _leave(self, x: Tensor, normed: Tensor, attended: Tensor, which: int) -> Tensor:
        """Back into the residual stream behind attention `which`."""
        branch = attended if self._merge is None else self._merge[which](torch.cat([normed, attended], dim=-1))
        total = x + branch
        if self._before:
            return total
        normalized: Tensor = (self._layer.norm1, self._layer.norm2)[which](total)
        return normalized


def _places(heads: Sequence[int]) -> list[slice]:
    """Where the heads of each block are among those of all."""
    ends = list(accumulate(heads, initial=0))
    return [slice(first, last) for first, last in pairwise(ends)]


def _as_rows(context: Tensor) -> Tensor:
    """[1, heads, beam, dk] -> [beam, width]."""
    return context[0].transpose(0, 1).reshape(context.shape[2], -1)
