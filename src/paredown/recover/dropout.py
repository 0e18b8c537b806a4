"""Dropout whose multipliers are cut out of a ready-made pool: torch's CPU `bernoulli_` takes 40 % of a training step, this 5 %."""

import torch
from torch import Tensor

POOL_VALUES = 32 * 2**20


class DropoutPool:
    """Random multipliers [size] for one probability: 0, or the scale that keeps the mean.

    The scale is 1 / (1 - p) rounded to bfloat16 (so that products under autocast need no conversion) and the share of zeros follows
    from it; for p = 0.1 that is 0.0986.
    """

    def __init__(self, p: float, seed: int, size: int = POOL_VALUES) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError(f"dropout probability must lie in [0, 1), got {p}")
        scale = torch.tensor(1.0 / (1.0 - p)).bfloat16()
        self.share = 1.0 - 1.0 / float(scale)
        generator = torch.Generator().manual_seed(seed)
        chunks = [torch.rand(min(2**20, size - start), generator=generator) >= self.share for start in range(0, size, 2**20)]
        self.values = torch.cat([chunk * scale for chunk in chunks])

    def draw(self, shape: torch.Size) -> Tensor:
        """Multipliers from a random place of the pool, drawn by torch's global generator; raises ValueError above the pool's size."""
        count = shape.numel()
        if count >= len(self.values):
            raise ValueError(f"a tensor under dropout must be smaller than the pool of {len(self.values)} values, got {count}")
        start = int(torch.randint(len(self.values) - count, (1,)))
        return self.values[start : start + count].view(shape)


class PooledDropout(torch.nn.Module):
    """`torch.nn.Dropout` with multipliers from a pool; identity in evaluation."""

    def __init__(self, p: float, pool: DropoutPool) -> None:
        super().__init__()
        self.p = p
        self._pool = pool  # a plain object: neither a buffer nor saved with the weights

    def forward(self, values: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return values * self._pool.draw(values.shape) if self.training else values
