"""Runs the uncompressed network over utterances and keeps what its layers read (torch).

One thread, in the order of the utterances, so that the same data give the same bits.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

from paredown.compress.calibration import Calibration, LayerMoment, LayerRows, mirrored
from paredown.compress.layer_calls import LayerCall, Utterance, run_layers
from paredown.models.groups import build_inventory
from paredown.models.network import Network
from paredown.space.inventory import LayerInfo

# Rows of all utterances that go into a moment: more, or more than twice as many as it is wide, change it little and cost time.
_MOMENT_ROWS = 8192
_KEPT_ROWS = 200
_GOLDEN = 0.6180339887498949  # its multiples, without what is in front of the point, fill [0, 1) evenly
_Progress = Callable[[int, int], None]
_Unit = Callable[[], AbstractContextManager[None]]


def calibrate(
    network: Network,
    utterances: Sequence[Utterance],
    sos: int,
    digest: str,
    progress: _Progress | None = None,
    unit: _Unit = nullcontext,
) -> Calibration:
    """Moments of every layer but depthwise convolutions, and rows; `digest` names model and data. `progress(done, total)`: utterances.

    Each utterance runs inside a `unit()`. Raises ValueError if there is no utterance.
    """
    readers = _read(network, utterances, sos, True, progress, unit)
    moments, rows = (reader.moment for reader in readers), (reader.rows for reader in readers if not reader.is_embedding)
    return Calibration(tuple(moments), tuple(rows), digest, len(utterances))


def read_rows(network: Network, utterances: Sequence[Utterance], sos: int, unit: _Unit = nullcontext) -> tuple[LayerRows, ...]:
    """The rows alone, in a fraction of the time. Raises ValueError if there is no utterance."""
    return tuple(reader.rows for reader in _read(network, utterances, sos, False, None, unit))


def _read(
    network: Network,
    utterances: Sequence[Utterance],
    sos: int,
    with_moments: bool,
    progress: _Progress | None,
    unit: _Unit,
) -> "list[_Reader]":
    if not utterances:
        raise ValueError("calibration needs at least one utterance, got none")
    own = copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}).eval()
    layers = [layer for layer in build_inventory(network).layers if _reads_rows(layer) or (with_moments and layer.kind == "embedding")]
    generator = torch.Generator().manual_seed(0)
    with one_thread():
        groups = _find_shared(own, layers, utterances[0], sos)
        readers = {group[0].path: _Reader(group, len(utterances), with_moments) for group in groups}
        first = [layer for layer in layers if layer.path in readers]
        for done, utterance in enumerate(utterances, 1):
            with unit():
                run_layers(own, first, utterance, sos, generator, lambda call: readers[call.path].add(call))
            if progress is not None:
                progress(done, len(utterances))
    return list(readers.values())


def _reads_rows(layer: LayerInfo) -> bool:
    """Linear layers and what is multiplied like one. Depthwise convolutions have a moment for every channel, and little to gain."""
    return layer.kind == "linear" or (layer.kind == "conv" and (len(layer.shape) == 4 or layer.shape[2] == 1))


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

    def __init__(self, group: Sequence[LayerInfo], utterances: int, with_moment: bool) -> None:
        first = group[0]
        self.is_embedding = first.kind == "embedding"
        size = first.shape[1] if self.is_embedding else first.weights // first.channels
        self._paths = tuple(layer.path for layer in group)
        self._sum = torch.zeros(size, size) if with_moment else None
        self._count = 0
        self._most = -(-max(_MOMENT_ROWS, 2 * size) // utterances)
        self._keep = -(-_KEPT_ROWS // utterances)
        self._kept: list[tuple[Tensor, Tensor, Tensor]] = []
        self._least, self._greatest = torch.full((size,), torch.inf), torch.full((size,), -torch.inf)

    def add(self, call: LayerCall) -> None:
        """Take the rows of one utterance; of very many some, evenly spread."""
        if self._sum is not None:
            rows = call.rows[_spread(len(call.rows), self._most)]
            self._sum += rows.T @ rows
            self._count += len(rows)
        if self.is_embedding:
            return
        picks = _spread(len(call.rows), self._keep, len(self._kept) * _GOLDEN % 1.0)
        self._kept.append((call.rows[picks], call.lows[picks], call.highs[picks]))
        self._least, self._greatest = torch.minimum(self._least, call.rows.amin(0)), torch.maximum(self._greatest, call.rows.amax(0))

    @property
    def moment(self) -> LayerMoment:
        assert self._sum is not None
        return LayerMoment(self._paths, mirrored((self._sum / self._count).numpy()))

    @property
    def rows(self) -> LayerRows:
        rows, lows, highs = (torch.cat(parts).numpy() for parts in zip(*self._kept, strict=True))
        return LayerRows(self._paths, rows, lows, highs, self._least.numpy(), self._greatest.numpy())


def _spread(count: int, most: int, shift: float = 0.0) -> Tensor:
    """At most `most` of the indices 0 to count - 1, evenly spread; `shift`, in [0, 1): by how much of their distance they begin later."""
    taken = min(count, most)
    return (torch.arange(taken) * count + int(shift * count) * (taken < count)) // max(taken, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread, whose sums do not depend on how many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
