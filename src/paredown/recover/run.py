"""A training run in memory."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from paredown.models.network import Network
from paredown.recover.average import Average
from paredown.recover.batch import Position


class LossPoint(NamedTuple):
    """Means over the steps since the point before: the decoder's loss, the weighted CTCs', the share of tokens the decoder gets right."""

    step: int
    attention: float
    ctc: float
    accuracy: float


@dataclass
class Run:
    """What a checkpoint holds: the weights, the optimizer, the average, where in the stream of batches the run is, the seconds it took.

    `names`: the parameters and buffers that training changes, None for the whole state dict.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    average: Average
    step: int = 0
    position: Position = field(default_factory=Position)
    seconds: float = 0.0
    curve: list[LossPoint] = field(default_factory=list)
    names: tuple[str, ...] | None = None
