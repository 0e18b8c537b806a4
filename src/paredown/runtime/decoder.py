"""The decoder's steps with their caches: a pool of nodes that all hypotheses of a search share.

A node is a token of a hypothesis: its self-attention keys and values in every layer. Nodes are appended by the graph and never moved;
which of them a hypothesis descends from is a row of a mask. When hypotheses are reordered or dropped only rows of the mask change.
Nodes that no running hypothesis descends from any more are thrown out once there are enough of them to be worth a copy.
"""

import numpy as np
from numpy.typing import NDArray

from paredown.runtime.session import Graph

Floats = NDArray[np.float32]
_HIDDEN = np.float32(-1e30)  # added to an attention score: its weight is exactly 0
_SWEEP_STEPS, _SWEEP_NODES = 4, 16  # look for dead nodes so often; throw them out when there are so many


class DecoderSteps:
    """The decoder as beam search wants it (`paredown.runtime.beam.StepModel`), for one utterance at a time.

    Pools: keys and values [1, heads, nodes, units of a head] of every layer; memory: [1, heads, frames, units of a head].
    `keep_log_probs`: keep all log-probabilities of the last step, for `log_probs_of`.
    """

    def __init__(self, graph: Graph, keep_log_probs: bool = False) -> None:
        self._graph = graph
        self._pools = sorted(name for name in graph.inputs if name.startswith("self_"))
        self._outputs = ["scores", "ids", *(f"new_{name}" for name in self._pools)]
        self._keeps = keep_log_probs
        if keep_log_probs:
            self._outputs.insert(2, "log_probs")
        self._inputs: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {}
        self._mask = np.zeros((1, 0), np.float32)
        self._log_probs = np.zeros((0, 0), np.float32)

    def listen(self, memory_keys: Floats, memory_values: Floats) -> None:
        """Take the encoder's outputs of one utterance [layers, heads, frames, units] as the memory of the steps that follow."""
        for layer in range(len(memory_keys)):
            self._inputs[f"memory_keys_{layer}"] = memory_keys[layer : layer + 1]
            self._inputs[f"memory_values_{layer}"] = memory_values[layer : layer + 1]

    def start(self) -> None:
        """Forget all nodes: the next step is the first."""
        for name in self._pools:
            _, heads, _, units = self._graph.inputs[name]
            self._inputs[name] = np.zeros((1, int(heads), 0, int(units)), np.float32)
        self._mask = np.zeros((1, 0), np.float32)

    def step(self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int) -> tuple[Floats, NDArray[np.int64]]:
        """Log-probabilities and ids [beam, k] of the best next tokens; see `StepModel.step`."""
        past = self._mask[order]
        if position % _SWEEP_STEPS == 0:
            past = self._sweep(past)
        rows, nodes = past.shape
        mask = np.full((rows, nodes + rows), _HIDDEN)
        mask[:, :nodes] = past
        np.fill_diagonal(mask[:, nodes:], 0.0)
        frames = self._inputs["memory_keys_0"].shape[2]
        if self._inputs.get("memory_mask", mask).shape[2:] != (rows, frames):
            self._inputs["memory_mask"] = np.zeros((1, 1, rows, frames), np.float32)
        self._inputs |= {
            "tokens": tokens[None],
            "position": np.full((1, 1, 1), position),
            "k": np.array([k]),
            "node_mask": mask[None, None],
        }
        scores, ids, *rest = self._graph.run(self._outputs, self._inputs)
        if self._keeps:
            self._log_probs = rest.pop(0)[0]
        self._inputs |= zip(self._pools, rest, strict=True)
        self._mask = mask
        return scores[0], ids[0].astype(np.int64, copy=False)

    def log_probs_of(self, token: int) -> Floats:
        """Log-probability [beam] of one token after every hypothesis of the last step."""
        return self._log_probs[:, token]

    def _sweep(self, past: Floats) -> Floats:
        """Throw out the nodes that no row of the mask [beam, nodes] sees."""
        alive = (past == 0.0).any(axis=0)
        if len(alive) - np.count_nonzero(alive) < _SWEEP_NODES:
            return past
        kept = np.flatnonzero(alive)
        for name in self._pools:
            self._inputs[name] = self._inputs[name].take(kept, axis=2)
        return past[:, kept]
