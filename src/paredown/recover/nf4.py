"""Linear layers whose frozen weights are stored as NF4 with double quantization (QLoRA, Dettmers et al. 2023), by bitsandbytes.

Blocks of 64 weights, in the order in which they lie in memory, share one scale; 256 scales are themselves 8-bit codes around their mean.
bitsandbytes' own layer is not used as it stands, for three reasons seen in its version 0.50 on a CPU:
- where a row of the weight is no multiple of 64, dequantization takes the scale of another block (relative error 0.25 instead of 0.09):
  here the weight is dequantized as the single row as which it was quantized;
- in evaluation the codes are repacked for a bfloat16 kernel, so that outputs are no longer those of the dequantized weight;
- under autocast it rounds the stored bias to bfloat16 for good.
"""

import copy
import math
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import Tensor


class Nf4Linear(Linear4bit):  # type: ignore[misc]
    """`torch.nn.Linear` with the same bias, its weight [out, in] frozen at NF4.

    Computes in the dtype of its input, under autocast in autocast's.
    """

    def __init__(self, original: torch.nn.Linear) -> None:
        super().__init__(original.in_features, original.out_features, bias=False, quant_type="nf4", compress_statistics=True, device="meta")
        dense = original.weight.detach().float().contiguous()
        made: Any = Params4bit
        frozen = made(dense.clone(), requires_grad=False, quant_type="nf4", compress_statistics=True, module=self)
        self.weight: Any = frozen.to(dense.device)
        self.bias = original.bias
        self.support_avx512bf16_for_cpu = False

    def dequantized(self) -> Tensor:
        """The weight [out, in] in float32 that the codes stand for."""
        count = self.out_features * self.in_features
        state = copy.copy(self.weight.quant_state)
        state.shape = torch.Size((1, count + count % 2))  # an odd count would call for a compiler
        flat: Tensor = dequantize_4bit(self.weight.data, state)
        return flat.reshape(-1)[:count].view(self.out_features, self.in_features)

    def stored_bytes(self) -> int:
        """Bytes of the weight as bitsandbytes saves it: codes, both levels of scales, tables and description."""
        tensors = [self.weight.data, *self.weight.quant_state.as_dict(packed=True).values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def forward(self, x: Tensor) -> Tensor:
        """[…, in] -> […, out]."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        product: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias.to(product.dtype)


class _Product(torch.autograd.Function):
    """x W' of a frozen weight that is dequantized anew for the gradient, so that no dense weight waits for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Nf4Linear) -> Tensor:
        ctx.layer = layer
        return torch.nn.functional.linear(x, layer.dequantized().to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return gradient @ ctx.layer.dequantized().to(gradient.dtype), None


def quantize_linears(network: torch.nn.Module) -> float:
    """Puts NF4 layers in the place of all linear layers, in place; gives the relative error |W - NF4(W)| / |W| over all of them."""
    wrong, whole = 0.0, 0.0
    for path, module in list(network.named_modules()):
        if isinstance(module, torch.nn.Linear) and not isinstance(module, Nf4Linear):
            layer = Nf4Linear(module).train(module.training)
            weight = module.weight.detach()
            wrong += float((layer.dequantized() - weight).square().sum(dtype=torch.float64))
            whole += float(weight.square().sum(dtype=torch.float64))
            network.set_submodule(path, layer)
    return math.sqrt(wrong / whole) if whole else 0.0
