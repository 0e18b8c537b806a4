"""The decoder's steps with their caches: a pool of nodes that all hypotheses of a search share, and several searches at a time.

A node is a token of a hypothesis: its self-attention keys and values in every layer. Nodes are appended by the graph and never moved;
which of them a hypothesis descends from is a row of a mask. When hypotheses are reordered or dropped only rows of the mask change.
Nodes that no running hypothesis descends from any more are thrown out once there are enough of them to be worth a copy.

Utterances are places along the first axis. Places with fewer beams, nodes or frames than others are padded, and the padding is masked,
so that at fp32 a search finds the same beside others as alone; int8 activations share one scale a call, over all places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.runtime.session import Graph

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
_HIDDEN = np.float32(-3e4)  # added to an attention score: its weight is exactly 0; finite in half precision too
_SWEEP_STEPS, _SWEEP_NODES = 4, 16  # look for dead nodes so often; so many are worth a copy of the others


@dataclass(frozen=True)
class Ask:
    """What one search wants of a step: its newest `tokens` [beam] at `position`, continuing the rows `order` [beam] of its last step."""

    tokens: Ids
    position: int
    order: Ids


class DecoderSteps:
    """The decoder as beam search wants it (`paredown.runtime.beam.StepModel`); a search takes place 0 unless there are several.

    Pools: keys and values [places, heads, nodes, units of a head] of every layer; memory: [places, heads, frames, units of a head].
    `keep_log_probs`: keep all log-probabilities of the last step, for `log_probs_of`.
    """

    def __init__(self, graph: Graph, keep_log_probs: bool = False) -> None:
        self.graph = graph
        self._pools = sorted(name for name in graph.inputs if name.startswith("self_"))
        counts = [int(graph.inputs[name][1]) for name in sorted(filter(_is_memory, graph.inputs), key=_layer_of)]
        ends = list(accumulate(counts, initial=0))
        self._memory_heads = list(pairwise(ends))  # of every layer, the first and the one behind the last among those of all layers
        self._grown = [f"new_{name}" for name in self._pools]
        self._outputs = ["scores", "ids", *(["log_probs"] if keep_log_probs else []), *self._grown]
        self._inputs: dict[str, Any] = {}
        self._memory: list[dict[str, Floats]] = []  # of every place, [1, heads, frames, units]
        self._frames: NDArray[np.float32] = np.zeros((0, 0), np.float32)  # [places, frames]: what is padding
        self._log_probs: Floats = np.zeros((0, 0, 0), np.float32)
        self.start()

    def listen(self, memory_keys: Floats, memory_values: Floats, place: int = 0) -> None:
        """Take the encoder's outputs of one utterance [layers, heads, frames, units] as the memory of a place, which may be a new one.

        Where layers differ in their heads: [1, heads of all layers, frames, units].
        """
        memory, frames_units = {}, memory_keys.shape[2:]
        keys, values = (part.reshape(1, -1, *frames_units) for part in (memory_keys, memory_values))
        for layer, (first, last) in enumerate(self._memory_heads):
            memory[f"memory_keys_{layer}"], memory[f"memory_values_{layer}"] = keys[:, first:last], values[:, first:last]
        self._memory[place : place + 1] = [memory]
        self._lay_memory()
        if len(self._mask) < len(self._memory):
            self._set_places(list(range(place)), spare=1)

    def start(self) -> None:
        """Forget all nodes of all places: every search begins anew."""
        for name in self._pools:
            _, heads, _, units = self.graph.inputs[name]
            self._inputs[name] = self.graph.put(np.zeros((len(self._memory), int(heads), 0, int(units)), np.float32))
        self._mask: Floats = np.zeros((len(self._memory), 1, 0), np.float32)  # [places, rows of the last step, nodes]
        self._step = 0

    def leave(self, place: int) -> None:
        """Give up a place; those behind it move up."""
        del self._memory[place]
        self._lay_memory()
        self._set_places([index for index in range(len(self._mask)) if index != place])

    def step(self, tokens: Ids, position: int, order: Ids, k: int) -> tuple[Floats, Ids]:
        """Log-probabilities and ids [beam, k] of the best next tokens; see `StepModel.step`."""
        scores, ids = self.step_all([Ask(tokens, position, order)], k)
        return scores[0], ids[0]

    def step_all(self, asks: Sequence[Ask], k: int) -> tuple[Floats, Ids]:
        """One step of all places: [places, rows, k], where rows is the largest beam; rows behind a smaller beam mean nothing."""
        rows = max(len(ask.tokens) for ask in asks)
        past = self._sweep(self._past(asks, rows))
        places, _, nodes = past.shape
        mask = np.full((places, rows, nodes + rows), _HIDDEN)
        mask[:, :, :nodes] = past
        mask[:, np.arange(rows), np.arange(nodes, nodes + rows)] = 0.0
        tokens = np.zeros((places, rows), np.int64)
        for place, ask in enumerate(asks):
            tokens[place, : len(ask.tokens)] = ask.tokens
        inputs = self._inputs
        if inputs["memory_mask"].shape[2] != rows:
            inputs["memory_mask"] = np.repeat(self._frames[:, None, None], rows, axis=2)
        inputs |= {"tokens": tokens, "position": np.array([[[ask.position]] for ask in asks]), "k": np.array([k])}
        inputs["node_mask"] = mask[:, None]
        scores, ids, *rest = self.graph.run(self._outputs, inputs, self._grown)
        if len(rest) > len(self._pools):
            self._log_probs = rest.pop(0)
        inputs |= zip(self._pools, rest, strict=True)
        self._mask = mask
        self._step += 1
        return scores, ids

    def log_probs_of(self, token: int, place: int = 0) -> Floats:
        """Log-probability [rows] of one token after every hypothesis of a place at the last step."""
        return self._log_probs[place, :, token]

    def _past(self, asks: Sequence[Ask], rows: int) -> Floats:
        """The mask [places, rows, nodes] of this step's beams over the nodes there are; a search that begins sees none."""
        past = np.full((len(asks), rows, self._mask.shape[2]), _HIDDEN)
        for place, ask in enumerate(asks):
            if ask.position > 0:
                past[place, : len(ask.order)] = self._mask[place, ask.order]
        return past

    def _sweep(self, past: Floats) -> Floats:
        """Throw out nodes that no row sees, as many as every place has."""
        if self._step % _SWEEP_STEPS:
            return past
        alive = (past == 0.0).any(axis=1)
        most = int(np.count_nonzero(alive, axis=1).max(initial=0))
        if alive.shape[1] - most < _SWEEP_NODES:
            return past
        kept = np.argsort(~alive, axis=1, kind="stable")[:, :most]
        for name in self._pools:
            pool = _fetch(self._inputs[name])
            self._inputs[name] = self.graph.put(_stack([part.take(nodes, axis=1)[None] for part, nodes in zip(pool, kept, strict=True)]))
        return np.stack([part.take(nodes, axis=1) for part, nodes in zip(past, kept, strict=True)])

    def _lay_memory(self) -> None:
        """Lay the places' memories side by side, shorter ones padded with zeros behind a mask."""
        lengths = [memory["memory_keys_0"].shape[2] for memory in self._memory]
        self._frames = np.where(np.arange(max(lengths, default=0)) < np.array(lengths)[:, None], np.float32(0.0), _HIDDEN)
        self._inputs["memory_mask"] = self._frames[:, None, None]
        for name in self._memory[0] if self._memory else ():
            parts = [memory[name] for memory in self._memory]
            self._inputs[name] = self.graph.put(_stack(parts))

    def _set_places(self, kept: Sequence[int], spare: int = 0) -> None:
        """The masks and pools of the places `kept`, and `spare` empty ones behind them."""
        self._mask = _select(self._mask, kept, spare, _HIDDEN)
        for name in self._pools:
            self._inputs[name] = self.graph.put(_select(_fetch(self._inputs[name]), kept, spare, 0.0))


def _is_memory(name: str) -> bool:
    return name.startswith("memory_keys_")


def _layer_of(name: str) -> int:
    return int(name.rpartition("_")[2])


def _fetch(value: Any) -> Floats:
    """A value as an array, wherever it is."""
    array: Floats = value if isinstance(value, np.ndarray) else value.numpy()
    return array


def _select(array: Floats, kept: Sequence[int], spare: int, fill: float | np.float32) -> Floats:
    """Rows `kept` of the first axis and `spare` more that hold `fill`."""
    empty = np.full((spare, *array.shape[1:]), fill, np.float32)
    return np.concatenate([array[list(kept)], empty])


def _stack(parts: Sequence[Floats]) -> Floats:
    """Arrays [1, heads, n, units] as one [parts, heads, largest n, units], zeros behind the shorter ones."""
    if len(parts) == 1:
        return parts[0]
    stacked = np.zeros((len(parts), parts[0].shape[1], max(part.shape[2] for part in parts), parts[0].shape[3]), np.float32)
    for row, part in zip(stacked, parts, strict=True):
        row[:, : part.shape[2]] = part[0]
    return stacked
