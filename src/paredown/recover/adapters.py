"""Training of adapters beside frozen weights (LoRA), or beside frozen NF4 weights (QLoRA), merged at the end into plain layers.

Settings of IWSLT 2025 compression, 3.2: NF4 with double quantization, rank-stabilized adapters on all linear layers, no dropout of
their own. Everything else stays frozen, unless the training moves running statistics of batch norms. Merging adds the adapter to the
*dequantized* base in float32, which is exact; a model that stores the sum at few bits is another one, whose gap
`paredown.recover.probe` measures.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from paredown.errors import BadInput
from paredown.models.network import Network
from paredown.recover.probe import Gap, Probe, compute_outputs, make_probe, measure_gap
from paredown.space.training import Training

if TYPE_CHECKING:
    from paredown.recover.lora import MergedLayer

NEEDED = {"lora": ("peft",), "qlora": ("peft", "bitsandbytes")}
INSTALL = "pip install 'paredown[recover]'"
TOLERANCE = 1e-3


@dataclass(frozen=True)
class AdapterReport:
    """What training with adapters did.

    `scaling`: alpha / sqrt(rank). `trainable` of `parameters` numbers were trained. `base_bytes` and `adapter_bytes`: what the paper's
    storage counts, the frozen base (NF4 as bitsandbytes saves it, all else in float32) and the adapters in float32.
    `nf4_error`: |W - NF4(W)| / |W| over all linear layers, 0 for LoRA. `merging`: the gap of the merged network from base + adapter.
    """

    kind: str
    scaling: float
    trainable: int
    parameters: int
    base_bytes: int
    adapter_bytes: int
    nf4_error: float
    merging: Gap
    layers: tuple["MergedLayer", ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def require_packages(kind: str) -> None:
    """Raises BadInput, with the way to install it, if a package that this kind of stage needs is absent."""
    for package in NEEDED[kind]:
        if find_spec(package) is None:
            raise BadInput(f"{kind} needs the package {package}, which is not installed: {INSTALL}")
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # its import, by peft too, tells of a kernel not used here


def train_adapters(
    network: Network,
    stage: Training,
    train_parameters: Callable[[Network], None],
    *,
    masks: Mapping[str, Tensor] | None = None,
    probe: Probe | None = None,
) -> AdapterReport:
    """Adapters of the stage's rank on every linear layer, trained by `train_parameters(network)`, merged; all in place.

    While that runs, only adapters require gradients; afterwards names, dtypes and what requires gradients are as before. The adapters'
    start hangs on the stage's seed, so that a resumed training finds the same names and the same frozen weights. `masks` (by parameter
    name, True where a weight survives) keep pruned weights at zero. `probe`: what merging is checked on, noise without one.
    Raises BadInput if a package is absent; ValueError on another kind of stage, or if the network does not compute with
    its adapters. If training raises, the network is left with them.
    """
    if stage.kind not in NEEDED:
        raise ValueError(f"adapters are trained by one of {', '.join(NEEDED)}, got {stage.kind!r}")
    require_packages(stage.kind)
    from paredown.recover.lora import inject_adapters, merge_adapters

    demanding = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    four_bit = stage.kind == "qlora"
    error = _quantize(network) if four_bit else 0.0
    base_bytes = _count_bytes(network)
    adapted = inject_adapters(network, stage.rank, stage.alpha, stage.seed, masks or {}, four_bit=four_bit)
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    train_parameters(network)
    probe = make_probe(network) if probe is None else probe
    before = compute_outputs(network, probe)
    layers = tuple(merge_adapters(network, adapted))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(demanding[name])
    gap = measure_gap(before, compute_outputs(network, probe))
    if not gap.largest <= TOLERANCE:
        raise ValueError(f"merging must move no log-probability by more than {TOLERANCE:g}, got {gap.largest:g}")
    scaling = stage.alpha / stage.rank**0.5
    return AdapterReport(stage.kind, scaling, trainable, parameters, base_bytes, 4 * trainable, error, gap, layers)


def _quantize(network: Network) -> float:
    """Puts NF4 in the place of all linear weights; gives their relative error."""
    from paredown.recover.nf4 import quantize_linears

    return quantize_linears(network)


def _count_bytes(network: torch.nn.Module) -> int:
    """Bytes of all parameters and buffers, quantized weights as they are stored."""
    total = sum(buffer.numel() * buffer.element_size() for buffer in network.buffers())
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            stored = getattr(module, "stored_bytes", None) if name == "weight" else None
            total += stored() if stored is not None else parameter.numel() * parameter.element_size()
    return total
