"""Runs the uncompressed network over utterances and adds up what its layers read (torch).

One thread, in the order of the utterances, so that the same data give the same bits.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

from paredown.compress.calibration import Calibration, LayerInputs
from paredown.compress.layer_calls import LayerCall, Utterance, run_layers
from paredown.models.groups import build_inventory
from paredown.models.network import Network
from paredown.space.inventory import LayerInfo

# Rows of all utterances that go into a moment: more, or more than twice as many as it is wide, change it little and cost time.
_MOMENT_ROWS = 8192
_KEPT_ROWS = 200


def calibrate(
    network: Network,
    utterances: Sequence[Utterance],
    sos: int,
    digest: str,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """The inputs of every layer but depthwise convolutions; `digest` names model and data. `progress(done, total)` counts utterances.

    Raises ValueError if there is no utterance.
    """
    if not utterances:
        raise ValueError("calibration needs at least one utterance, got none")
    own = cast(Network, copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})).eval()
    layers = [layer for layer in build_inventory(network).layers if _has_moment(layer)]
    generator = torch.Generator().manual_seed(0)
    with _one_thread():
        readers = {group[0].path: _Reader(group, len(utterances)) for group in _find_shared(own, layers, utterances[0], sos)}
        first = [layer for layer in layers if layer.path in readers]
        for done, utterance in enumerate(utterances, 1):
            run_layers(own, first, utterance, sos, generator, lambda call: readers[call.path].add(call))
            if progress is not None:
                progress(done, len(utterances))
    return Calibration(tuple(reader.finish() for reader in readers.values()), digest, len(utterances))


def _has_moment(layer: LayerInfo) -> bool:
    """Not convolutions over time: depthwise ones have a moment for every channel, and little to gain."""
    return layer.kind != "conv" or len(layer.shape) == 4 or layer.shape[2] == 1


def _find_shared(network: Network, layers: Sequence[LayerInfo], utterance: Utterance, sos: int) -> list[list[LayerInfo]]:
    """The layers that are reached, those together that are handed the same tensor."""
    by_path = {layer.path: layer for layer in layers}
    calls: list[LayerCall] = []  # holds the tensors, so that no two of them have one id
    run_layers(network, layers, utterance, sos, torch.Generator().manual_seed(0), calls.append)
    groups: dict[int, list[LayerInfo]] = {}
    for call in calls:
        groups.setdefault(id(call.source), []).append(by_path[call.path])
    return list(groups.values())


class _Reader:
    """Adds up the moment of what a group of layers reads, and keeps a few rows of every utterance."""

    def __init__(self, group: Sequence[LayerInfo], utterances: int) -> None:
        first = group[0]
        size = first.shape[1] if first.kind == "embedding" else first.weights // first.channels
        self._paths = tuple(layer.path for layer in group)
        self._moment, self._count = torch.zeros(size, size), 0
        self._most = -(-max(_MOMENT_ROWS, 2 * size) // utterances)
        self._keep = 0 if first.kind == "embedding" else -(-_KEPT_ROWS // utterances)
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, call: LayerCall) -> None:
        """Take the rows of one utterance; of very many some, evenly spread."""
        rows = call.rows[_spread(len(call.rows), self._most)]
        self._moment += rows.T @ rows
        self._count += len(rows)
        picks = _spread(len(call.rows), self._keep)
        self._kept.append((call.rows[picks], call.lows[picks], call.highs[picks]))

    def finish(self) -> LayerInputs:
        rows, lows, highs = (torch.cat(parts).numpy() for parts in zip(*self._kept, strict=True))
        return LayerInputs(self._paths, (self._moment / self._count).numpy(), rows, lows, highs)


def _spread(count: int, most: int) -> Tensor:
    """At most `most` of the indices 0 to count - 1, evenly spread."""
    taken = min(count, most)
    return torch.arange(taken) * count // max(taken, 1)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
