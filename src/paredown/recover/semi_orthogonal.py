"""Factors of which one stays semi-orthogonal while they train: M M^T near a multiple of the identity.

Source: Povey et al. 2018, "Semi-orthogonal low-rank matrix factorization for deep neural networks", section 2; with the floating scale and
the slower steps far from the goal of Kaldi's ConstrainOrthonormal. Which factor is constrained is told by the letters of Table 1 of the
lossless 4-bit Conformer paper: in the order of computation, "S" is a constrained factor, "L" a free one; four letters are `w_1`
(`down`, `up`) and `w_2` (`down`, `up`). Its best system has "SLLS".
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from paredown.space.training import PATTERNS

EVERY_STEPS = 4  # Kaldi's: the constraint need not hold at every step
_SPEED = 0.125  # converges quadratically near the goal
_NEAR, _FAR = 1.02, 1.1  # spread of the eigenvalues above which a full step may overshoot


def parse_pattern(text: str) -> dict[str, str]:
    """Four letters as the patterns of `w_1` and `w_2`; raises ValueError unless each is SL, LS or LL."""
    patterns = {"w_1": text[:2], "w_2": text[2:]}
    for role, pattern in patterns.items():
        _check_pattern(pattern, f"{role} of {text!r}")
    return patterns


def start_factors(weight: Tensor, rank: int, pattern: str) -> tuple[Tensor, Tensor]:
    """`down` [rank, in] and `up` [out, rank] of the best approximation of a matrix [out, in]: its largest singular directions.

    The product is the same under every pattern: "SL" and "LS" give the singular values to the free factor, "LL" splits them evenly.
    "SS" cannot hold them and is refused. Raises ValueError for that, and for a rank outside [1, smaller side].
    """
    _check_pattern(pattern, repr(pattern))
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(f"rank must lie in [1, {min(weight.shape)}], got {rank}")
    left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    share = {"SL": 0.0, "LS": 1.0, "LL": 0.5}[pattern]
    down, up = values[:, None] ** share * right, left * values ** (1.0 - share)
    return down.to(weight.dtype).contiguous(), up.to(weight.dtype).contiguous()


@torch.no_grad()
def constrain(matrix: Tensor) -> None:
    """One step, in place, towards M M^T = c I (M wide; of a tall matrix its transpose), c following the matrix's own size.

        M <- M - 4 nu / c (M M^T - c I) M        c = tr(P P^T) / tr(P), P = M M^T

    nu = 1/8, and less while the singular values differ much. Diverges for no start, but needs linearly independent rows.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    gram = wide @ wide.t()
    trace, trace_of_square = gram.trace(), gram.square().sum()
    scale = trace_of_square / trace
    spread = float(trace_of_square * len(gram) / trace.square())
    speed = _SPEED * (0.5 if spread > _NEAR else 1.0) * (0.5 if spread > _FAR else 1.0)
    gram.diagonal().sub_(scale)
    wide.sub_((4.0 * speed / scale) * (gram @ wide))


def constrained_factors(network: torch.nn.Module, pattern: str) -> dict[str, Tensor]:
    """The weights of a network's factors that a pattern of four letters constrains, by name: `….w_1.down.weight` and the like."""
    ends = []
    for role, letters in parse_pattern(pattern).items():
        ends += [f".{role}.{factor}.weight" for factor, letter in zip(("down", "up"), letters, strict=True) if letter == "S"]
    return {name: value for name, value in network.named_parameters() if f".{name}".endswith(tuple(ends))}


class SemiOrthogonal:
    """What the trainer calls before each step: every few of them it moves the constrained factors one step back."""

    def __init__(self, factors: Mapping[str, Tensor], every_steps: int = EVERY_STEPS) -> None:
        if every_steps < 1:
            raise ValueError(f"the constraint must act every 1 or more steps, got {every_steps}")
        self._factors, self._every_steps = dict(factors), every_steps

    def __call__(self, step: int) -> None:
        if step % self._every_steps == 0:
            for matrix in self._factors.values():
                constrain(matrix)


def _check_pattern(pattern: str, what: str) -> None:
    if pattern not in PATTERNS:
        raise ValueError(f"one factor is semi-orthogonal (SL, LS) or none (LL): the other must hold the singular values; got {what}")
