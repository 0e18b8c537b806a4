"""A training run in memory."""

from dataclasses import dataclass, field

import torch

from paredown.models.network import Network
from paredown.recover.average import Average
from paredown.recover.batch import Position


@dataclass
class Run:
    """What a checkpoint holds: the weights, the optimizer, the average, and where in the stream of batches the run is."""

    network: Network
    optimizer: torch.optim.Optimizer
    average: Average
    step: int = 0
    position: Position = field(default_factory=Position)
