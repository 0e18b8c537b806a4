"""Networks whose layers are quantized as an allocation says, and how far their posteriors lie from the uncompressed ones."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from paredown.analysis.posteriors import Start, divergence, plain_pass
from paredown.analysis.spread import spread
from paredown.analysis.stages import Sample, place_of, shared_copy
from paredown.compress.quantize import quantize
from paredown.models.network import Network

Granularity = Literal["channel", "tensor"]


def quantized(network: Network, allocation: Mapping[str, int], granularity: Granularity = "channel") -> Network:
    """A copy in evaluation mode that shares all weights but those of these layers."""
    copied = shared_copy(network)
    for path, bits in allocation.items():
        weight = quantized_weight(network, path, bits, granularity)
        copied.get_submodule(path).weight = torch.nn.Parameter(weight, requires_grad=False)
    return copied


def quantized_weight(network: Network, path: str, bits: int, granularity: Granularity = "channel") -> Tensor:
    """What a layer's weight becomes at one bit-width, every number rounded to the nearest code."""
    own = network.get_parameter(f"{path}.weight")
    return torch.from_numpy(quantize(own.detach().float().numpy(), bits, granularity).dequantize()).to(own.dtype)


def check_layers(network: Network, layers: Sequence[str]) -> None:
    """Raises ValueError unless every path is that of a weight of encoder, decoder or CTC."""
    modules = dict(network.named_modules())
    for path in layers:
        if not isinstance(getattr(modules.get(path), "weight", None), Tensor):
            raise ValueError(f"layers must be paths of weights in the network, got {path!r}")
        place_of(network, path)


def measure_allocation(
    network: Network,
    allocation: Mapping[str, int],
    samples: Sequence[Sample],
    sos: int,
    *,
    granularity: Granularity = "channel",
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> float:
    """The divergence of posteriors (as in `measure_kl`) that all these widths cause together; errors as there."""
    if not samples:
        raise ValueError("a divergence needs at least one utterance, got none")
    check_layers(network, list(allocation))
    plain = spread(network, samples, lambda own, sample: plain_pass(own, sample, sos), unit=unit)
    other, start = quantized(network, allocation, granularity), Start.of(network, allocation)
    return spread(other, [start], lambda own, begin: divergence(own, plain, begin), unit=unit)[0]
