"""Networks whose layers are quantized as an allocation says, and how far their posteriors lie from the uncompressed ones."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from paredown.analysis.posteriors import Start, mean_divergence, plain_pass, shift
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


class AllocationMeter:
    """Measures allocations of one network: the uncompressed passes are made once, and kept (about a megabyte an utterance)."""

    def __init__(
        self,
        network: Network,
        samples: Sequence[Sample],
        sos: int,
        *,
        threads: int = 1,
        unit: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Raises ValueError if there is no utterance. Results do not depend on `threads`; utterances are computed inside a `unit()`."""
        if not samples:
            raise ValueError("a divergence needs at least one utterance, got none")
        self._network, self._threads, self._unit = network, threads, unit
        self._plain = spread(network, samples, lambda own, sample: plain_pass(own, sample, sos), threads=threads, unit=unit)

    def divergence(self, allocation: Mapping[str, int], granularity: Granularity = "channel") -> float:
        """The divergence of posteriors (as in `measure_kl`) that all these widths cause together; errors as there."""
        check_layers(self._network, list(allocation))
        other, start = quantized(self._network, allocation, granularity), Start.of(self._network, allocation)
        parts = spread(other, self._plain, lambda own, plain: shift(own, plain, start), threads=self._threads, unit=self._unit)
        return mean_divergence(parts)
