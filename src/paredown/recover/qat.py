"""Quantization-aware training: a network computes with the weights its codes would stand for, and trains those behind them.

Forward, a weight w of step s is s * clip(round(w / s)): the codes of `paredown.compress.quantize` with these steps, to the bit. Backward
(straight-through estimator, Bengio et al. 2013; lossless 4-bit Conformer, section 6) the gradient passes to w as if nothing were rounded,
but not where w is clipped. Steps are learned too (LSQ, Esser et al. 2020, arXiv 1902.08153, Eq. 3):

    ds = sum over the step's weights of  dL/dw^ * (round(w/s) - w/s  where |w/s| < top, else sign(w) * top)

They are kept as s = start * exp(growth), so that they stay positive and one learning rate moves each by a share of itself. That is what
LSQ's scale of the gradient, 1/sqrt(weights * top), is for; AdamW would cancel it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from paredown.recover.steps import find_steps
from paredown.space.configuration import HALF_BITS, MAX_BITS, MIN_BITS

Granularity = Literal["channel", "tensor"]


class _Rounded(torch.autograd.Function):
    """Weight [channels, ...], start and growth [channels, 1, ...] or [1, 1, ...] -> the weight its codes stand for."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, start: Tensor, growth: Tensor, top: int) -> Tensor:
        steps = start * growth.exp()
        ctx.save_for_backward(weight, steps)
        ctx.top = top
        return weight.div(steps).round_().clamp_(-top, top).mul_(steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, None]:
        (gradient,) = gradients
        weight, steps = ctx.saved_tensors
        scaled = weight.div(steps)
        passed = torch.ops.aten.hardtanh_backward(gradient, scaled, -ctx.top, ctx.top)
        slope = scaled.clamp(-ctx.top, ctx.top).round_().mul_(gradient).addcmul_(passed, scaled, value=-1.0)
        shared = [dim for dim in range(weight.dim()) if steps.size(dim) == 1]
        return passed, None, slope.sum(shared, keepdim=True).mul_(steps), None


class LearnedSteps(torch.nn.Module):
    """A parametrization of a layer's weight: what its codes of `bits` stand for, with one step a channel or one for the tensor.

    `start` [channels] or [1]: the steps that training begins with. The codes lie in [-(2^(bits-1) - 1), 2^(bits-1) - 1].
    """

    start: Tensor

    def __init__(self, start: Tensor, bits: int, dims: int) -> None:
        super().__init__()
        self.top = 2 ** (bits - 1) - 1
        shaped = start.detach().clone().reshape(-1, *(1,) * (dims - 1))
        self.register_buffer("start", shaped)
        self.growth = torch.nn.Parameter(torch.zeros(len(start), device=start.device))

    @torch.no_grad()
    def steps(self) -> Tensor:
        """The step sizes by now, float32 [channels] or [1]."""
        return (self.start * self.growth.view_as(self.start).exp()).flatten()

    def forward(self, weight: Tensor) -> Tensor:
        """[channels, ...] -> the same shape."""
        rounded: Tensor = _Rounded.apply(weight, self.start, self.growth.view_as(self.start), self.top)  # type: ignore[no-untyped-call]
        return rounded


def quantized_layers(network: torch.nn.Module, bits: Mapping[str, int]) -> dict[str, int]:
    """The layers that codes stand for, with their bits; those of 16 are left out.

    Raises ValueError for a path that is no layer with a weight, and for bits outside [2, 8] other than 16.
    """
    modules, found = dict(network.named_modules()), {}
    for path, width in bits.items():
        if not isinstance(getattr(modules.get(path), "weight", None), Tensor):
            raise ValueError(f"bits must name layers of the network, got {path!r}")
        if width != HALF_BITS and not MIN_BITS <= width <= MAX_BITS:
            raise ValueError(f"bit-width must lie in [{MIN_BITS}, {MAX_BITS}] or be {HALF_BITS}, got {width} for {path!r}")
        if width != HALF_BITS:
            found[path] = width
    return found


@contextmanager
def quantized(
    network: torch.nn.Module, bits: Mapping[str, int], granularity: Granularity = "channel", steps: Mapping[str, Tensor] | None = None
) -> Iterator[dict[str, LearnedSteps]]:
    """Inside, the layers compute with the weights their codes stand for; gives their learned steps by path.

    `steps` are those to begin with, [channels] or [1]; a layer without any begins with those of least squared error. On leaving, the
    layers have plain weights again: the unrounded ones. Raises ValueError as `quantized_layers`, and for steps that don't fit.
    """
    given, learned = steps or {}, {}
    layers = quantized_layers(network, bits)
    orders = {path: list(network.get_submodule(path)._parameters) for path in layers}
    try:
        for path, width in layers.items():
            module = network.get_submodule(path)
            weight = module.get_parameter("weight")
            start = given[path].to(weight) if path in given else find_steps(weight.detach(), width, granularity)
            _check_steps(path, start, len(weight) if granularity == "channel" else 1)
            rounding = LearnedSteps(start, width, weight.dim())
            parametrize.register_parametrization(module, "weight", rounding, unsafe=True)
            learned[path] = rounding
        yield learned
    finally:
        for path in learned:
            module = network.get_submodule(path)
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
            module._parameters = {name: module._parameters[name] for name in orders[path]}


def _check_steps(path: str, steps: Tensor, count: int) -> None:
    if steps.dim() != 1 or len(steps) != count:
        raise ValueError(f"steps of {path!r} must be [{count}], got {list(steps.shape)}")
    if not bool(((steps > 0) & steps.isfinite()).all()):
        raise ValueError(f"steps must be finite and above 0, got {float(steps.min()):g} for {path!r}")
