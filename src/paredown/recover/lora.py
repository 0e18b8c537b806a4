"""Low-rank adapters beside frozen linear layers, by peft, and their way back into plain layers.

A layer computes W x + scaling * B A x with A [rank, in] random and B [out, rank] zero at the start (Hu et al. 2021); rank-stabilized,
scaling = alpha / sqrt(rank) (Kalajdzievski 2023).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor

from paredown.models.network import Network

NAME = "default"


@dataclass(frozen=True)
class MergedLayer:
    """What an adapter changed: Frobenius norms of the frozen weight and of scaling * B A that was added to it."""

    path: str
    base_norm: float
    delta_norm: float


class MaskedAdapter(torch.nn.Module):
    """An adapted layer whose pruned weights stay zero: (W + scaling * B A) * mask, computed as one matrix."""

    mask: Tensor

    def __init__(self, adapted: Any, mask: Tensor) -> None:
        super().__init__()
        self.adapted = adapted
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """[…, in] -> […, out]."""
        return torch.nn.functional.linear(values, effective_weight(self), self.adapted.get_base_layer().bias)


def find_linears(network: torch.nn.Module) -> list[str]:
    """The paths of all linear layers, in network order."""
    return [path for path, module in network.named_modules() if isinstance(module, torch.nn.Linear)]


def inject_adapters(
    network: Network, rank: int, alpha: float, seed: int, masks: Mapping[str, Tensor], *, four_bit: bool = False
) -> dict[str, torch.nn.Module]:
    """Gives every linear layer an adapter, in place, and freezes everything else; the adapted layers by path.

    `masks`: True or 1 where a weight survives, by parameter name; parameters that are no linear layer's are frozen anyway. `four_bit`
    says that the linear layers are bitsandbytes'. What is drawn hangs on `seed` alone.
    """
    paths = find_linears(network)
    settings = LoraConfig(r=rank, lora_alpha=cast(int, alpha), use_rslora=True, lora_dropout=0.0, bias="none", target_modules=paths)
    network.is_loaded_in_4bit = four_bit  # type: ignore[assignment]  # where peft looks for it
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        inject_adapter_in_model(settings, network, NAME)
    del network.is_loaded_in_4bit, network.peft_config
    adapted: dict[str, torch.nn.Module] = {}
    for path in paths:
        layer: Any = network.get_submodule(path)
        layer.cast_input_dtype_enabled = False  # autocast casts
        mask = masks.get(f"{path}.weight")
        if mask is not None:
            layer = MaskedAdapter(layer, mask.to(layer.get_base_layer().weight.device).float()).train(layer.training)
            network.set_submodule(path, layer)
        adapted[path] = layer
    return adapted


def effective_weight(layer: Any) -> Tensor:
    """The weight [out, in] that an adapted layer stands for, differentiable."""
    if isinstance(layer, MaskedAdapter):
        return effective_weight(layer.adapted) * layer.mask
    return _frozen_weight(layer) + _change(layer, torch.float32)


@torch.no_grad()
def merge_adapters(network: Network, adapted: Mapping[str, torch.nn.Module]) -> list[MergedLayer]:
    """Puts plain linear layers of the sums W + scaling * B A in the place of the adapted ones; names and dtypes are as they were."""
    merged = []
    for path, module in adapted.items():
        layer: Any = module
        if isinstance(module, MaskedAdapter):
            layer = module.adapted
        if not isinstance(layer, LoraLayer):
            raise ValueError(f"an adapted layer must be peft's, got {type(layer).__name__} at {path}")
        base = _frozen_weight(layer)
        delta = _change(layer, torch.float64)
        if isinstance(module, MaskedAdapter):
            base, delta = base * module.mask, delta * module.mask
        merged.append(MergedLayer(path, float(base.norm()), float(delta.norm())))
        _replace(network, path, layer, (base.double() + delta).float())
    return merged


def _replace(network: Network, path: str, layer: Any, weight: Tensor) -> None:
    """The plain layer of `weight`: the one that was there, or, where that was quantized, a new one with its bias."""
    plain = layer.get_base_layer()
    if hasattr(plain, "dequantized"):
        bias = plain.bias
        plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        plain.weight, plain.bias = torch.nn.Parameter(weight), bias
    else:
        plain.weight.copy_(weight)
    network.set_submodule(path, plain.train(layer.training))


def _change(layer: Any, dtype: torch.dtype) -> Tensor:
    """scaling * B A, [out, in]."""
    change: Tensor = layer.scaling[NAME] * (layer.lora_B[NAME].weight.to(dtype) @ layer.lora_A[NAME].weight.to(dtype))
    return change


def _frozen_weight(layer: Any) -> Tensor:
    base = layer.get_base_layer()
    frozen: Tensor = base.dequantized() if hasattr(base, "dequantized") else base.weight
    return frozen
