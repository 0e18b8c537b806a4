"""Configuration x weights -> compressed weights: drop blocks, set zeros, quantize. NumPy only, a fraction of a second for 11M weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from paredown.compress.prune import survivors
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Array, Quantized, Tensor
from paredown.errors import BadInput
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory

Mask = NDArray[np.bool_]
# Quantized layers of one model, by (path, bits, granularity), without mask: pruning the smallest weights changes neither scales nor codes.
Memo = dict[tuple[str, int, str], Quantized]


@dataclass(frozen=True)
class CompressedModel:
    """Every parameter that inference still needs, by its ESPnet name with original block indices.

    `keep` lists the kept blocks of every stack in full, also where none was dropped.
    """

    configuration: Configuration
    tensors: Mapping[str, Tensor]
    keep: Mapping[str, tuple[int, ...]]


def compress(
    state: Mapping[str, Array],
    inventory: Inventory,
    groups: Mapping[str, tuple[str, ...]],
    configuration: Configuration,
    memo: Memo | None = None,
) -> CompressedModel:
    """The weights that this configuration leaves.

    `state` maps parameter names to float32 arrays, `groups` module groups to the names of the parameters they rank and prune.
    A layer absent from the configuration's bits stays float32, zeros included. `memo` must belong to this one state; it is filled.
    Raises BadInput if the configuration names what the model does not have: a block, a layer, a group; or gives bits to a layer of
    a dropped block. Raises ValueError if the weights do not fit the inventory.
    """
    keep = _resolved_keep(inventory, configuration)
    _check_names(inventory, groups, configuration)
    masks = _masks(state, groups, configuration)
    bits_of, granularity = configuration.bits_of, configuration.scheme.granularity
    memo = {} if memo is None else memo
    tensors: dict[str, Tensor] = {}
    for layer in inventory.layers:
        name = f"{layer.path}.weight"
        if not is_kept(name, configuration):
            continue
        weight, mask = _checked(state, name, layer.shape), masks.get(name)
        if layer.path not in bits_of:
            tensors[name] = weight if mask is None else weight * mask
            continue
        key = (layer.path, bits_of[layer.path], granularity)
        if key not in memo:
            memo[key] = quantize(weight, bits_of[layer.path], granularity)
        tensors[name] = memo[key] if mask is None else _masked(memo[key], mask)
    for name, size in inventory.vectors:
        if is_kept(name, configuration):
            vector = _checked(state, name, None, size)
            tensors[name] = vector * masks[name] if name in masks else vector
    return CompressedModel(configuration, tensors, keep)


def _resolved_keep(inventory: Inventory, configuration: Configuration) -> dict[str, tuple[int, ...]]:
    keep = {stack: tuple(range(blocks)) for stack, blocks in inventory.blocks}
    for stack, indices in configuration.keep:
        if stack not in keep or indices[0] < 0 or indices[-1] >= len(keep[stack]):
            raise BadInput(f"kept blocks must be blocks of the model's {stack}, 0 to {len(keep.get(stack, ())) - 1}, got {indices}")
        keep[stack] = indices
    return keep


def _check_names(inventory: Inventory, groups: Mapping[str, tuple[str, ...]], configuration: Configuration) -> None:
    for path, _ in configuration.bits:
        if path not in inventory.by_path:
            raise BadInput(f"bits must name layers of the model, got {path!r}")
        if not is_kept(path, configuration):
            raise BadInput(f"bits must name layers of kept blocks, got {path!r}")
    for group, _ in configuration.sparsity:
        if not groups.get(group):
            present = ", ".join(name for name, members in groups.items() if members)
            raise BadInput(f"sparsity must name a module group of the model ({present}), got {group!r}")


def _masks(state: Mapping[str, Array], groups: Mapping[str, tuple[str, ...]], configuration: Configuration) -> dict[str, Mask]:
    """Masks of every pruned parameter; blocks that are dropped do not take part in the ranking."""
    masks: dict[str, Mask] = {}
    for group, share in configuration.sparsity:
        if share > 0:
            ranked = {name: state[name] for name in groups[group] if is_kept(name, configuration)}
            masks |= survivors(ranked, share)
    return masks


def _masked(layer: Quantized, mask: Mask) -> Quantized:
    """The quantized layer with pruned weights at code 0. What quantizing the pruned weight gives, at a fraction of the work."""
    emptied = ~mask.reshape(len(layer.scales), -1).any(axis=1)
    return replace(layer, codes=layer.codes * mask, scales=np.where(emptied, np.float32(1), layer.scales), mask=mask)


def _checked(state: Mapping[str, Array], name: str, shape: tuple[int, ...] | None, size: int | None = None) -> Array:
    if name not in state:
        raise ValueError(f"the weights must hold every parameter of the inventory, {name!r} is missing")
    array = np.asarray(state[name], dtype=np.float32)
    if (shape is not None and array.shape != shape) or (size is not None and array.size != size):
        expected = f"{prod(shape)} numbers as {shape}" if shape is not None else f"{size} numbers"
        raise ValueError(f"{name} must hold {expected}, got {array.shape}")
    return array
