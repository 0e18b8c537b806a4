"""Where learned step sizes begin: the steps with which the codes of a weight lie nearest to it, by squared error."""

import torch
from torch import Tensor

_CLIPS = 24  # from the step that reaches the largest weight down to a fifth of it, in equal ratios
_LEAST_CLIP = 0.2
_SWEEPS = 4


@torch.no_grad()
def find_steps(weight: Tensor, bits: int, granularity: str = "channel") -> Tensor:
    """Float32 steps [channels], or [1] for the tensor, of a weight [channels, ...]; 1 where all weights are 0.

    The best of 24 clips, then codes and steps in turn: the least-squares step of the codes, the nearest codes of the step. Raises
    ValueError for a weight that is not finite.
    """
    top = 2 ** (bits - 1) - 1
    rows = weight.float().reshape(len(weight) if granularity == "channel" else 1, -1)
    largest = rows.abs().amax(1) / top
    if not bool(largest.isfinite().all()):
        raise ValueError(f"a weight to quantize must be finite, got a step of {float(largest[~largest.isfinite()][0])}")
    largest = torch.where(largest > 0, largest, 1.0)
    best, least = largest, _error(rows, largest, top)
    for exponent in range(1, _CLIPS):
        best, least = _better(rows, largest * _LEAST_CLIP ** (exponent / (_CLIPS - 1)), top, best, least)
    for _ in range(_SWEEPS):
        codes = _codes(rows, best, top)
        fitted = (codes * rows).sum(1) / codes.square().sum(1)
        best, least = _better(rows, torch.where((fitted > 0) & fitted.isfinite(), fitted, best), top, best, least)
    return best


def _codes(rows: Tensor, steps: Tensor, top: int) -> Tensor:
    return (rows / steps[:, None]).round_().clamp_(-top, top)


def _error(rows: Tensor, steps: Tensor, top: int) -> Tensor:
    return _codes(rows, steps, top).mul_(steps[:, None]).sub_(rows).square_().sum(1)


def _better(rows: Tensor, steps: Tensor, top: int, best: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Of two steps for each row the one with the smaller error."""
    error = _error(rows, steps, top)
    return torch.where(error < least, steps, best), torch.minimum(error, least)
