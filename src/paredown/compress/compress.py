"""Configuration x weights -> compressed weights: drop blocks, set zeros, quantize. NumPy only.

Rounding 11M weights to the nearest takes a fraction of a second, the calibrated method about ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from paredown.compress.calibration import Calibration
from paredown.compress.gptq import quantize_calibrated
from paredown.compress.prune import survivors
from paredown.compress.quantize import quantize
from paredown.compress.tensors import Array, Quantized, Tensor, to_half
from paredown.errors import BadInput
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory

Mask = NDArray[np.bool_]
Given = TypeVar("Given")
# Quantized layers of one model (and, if calibrated, one calibration) without mask, by (path, bits, granularity, method).
Memo = dict[tuple[str, int, str, str], Quantized]


@dataclass(frozen=True)
class CalibratedOn:
    """What the calibrated method saw: the digest of model, data and settings, and the number of utterances."""

    digest: str
    utterances: int


@dataclass(frozen=True)
class CompressedModel:
    """Every parameter that inference still needs, by its ESPnet name with original block indices.

    `keep` lists the kept blocks of every stack in full, also where none was dropped. `calibrated_on` is None where codes are the nearest.
    """

    configuration: Configuration
    tensors: Mapping[str, Tensor]
    keep: Mapping[str, tuple[int, ...]]
    calibrated_on: CalibratedOn | None = None


def compress(
    state: Mapping[str, Array],
    inventory: Inventory,
    groups: Mapping[str, tuple[str, ...]],
    configuration: Configuration,
    memo: Memo | None = None,
    calibration: Calibration | None = None,
) -> CompressedModel:
    """The weights that this configuration leaves.

    `state` maps parameter names to float32 arrays, `groups` module groups to the names of the parameters they rank and prune.
    A layer absent from the configuration's bits stays float32, zeros included (with kernel fp16 as the numbers that half precision has).
    `memo` must belong to this one state and calibration; it is filled. Raises BadInput if the configuration names what the model does not
    have: a block, a layer, a group; or gives bits to a layer of a dropped block; or takes the calibrated method without `calibration`; or
    if a weight is too large for kernel fp16. Raises ValueError if the weights do not fit the inventory.
    """
    keep = resolve_keep(inventory, configuration)
    check_names(inventory, groups, configuration)
    masks = _masks(state, groups, configuration)
    bits_of, rounding = configuration.bits_of, _Rounding(configuration, calibration, {} if memo is None else memo)
    tensors: dict[str, Tensor] = {}
    for layer in inventory.layers:
        name = f"{layer.path}.weight"
        if not is_kept(name, configuration):
            continue
        weight, mask = _checked(state, name, layer.shape), masks.get(name)
        if layer.path not in bits_of:
            tensors[name] = weight if mask is None else weight * mask
            continue
        tensors[name] = rounding.quantize(layer.path, weight, mask)
    for name, size in inventory.vectors:
        if is_kept(name, configuration):
            vector = _checked(state, name, None, size)
            tensors[name] = vector * masks[name] if name in masks else vector
    if configuration.scheme.kernel == "fp16":
        halves = {name: to_half(name, tensor).astype(np.float32) for name, tensor in tensors.items() if not isinstance(tensor, Quantized)}
        tensors |= halves
    return CompressedModel(configuration, tensors, keep, rounding.calibrated_on)


def calibration_of(configuration: Configuration, calibration: Given | None) -> Given | None:
    """The calibration that the configuration's codes are chosen with, None where they are the nearest. Raises BadInput if there is none."""
    if configuration.is_calibrated and calibration is None:
        raise BadInput("method gptq needs a calibration (utterances that the model hears), got none")
    return calibration if configuration.is_calibrated else None


class _Rounding:
    """How a configuration makes codes, with what was made before in `memo`."""

    def __init__(self, configuration: Configuration, calibration: Calibration | None, memo: Memo) -> None:
        self._scheme, self._bits, self._memo = configuration.scheme, configuration.bits_of, memo
        self._calibration = calibration_of(configuration, calibration)

    @property
    def calibrated_on(self) -> CalibratedOn | None:
        return None if self._calibration is None else CalibratedOn(self._calibration.digest, self._calibration.utterances)

    def quantize(self, path: str, weight: Array, mask: Mask | None) -> Quantized:
        """The codes of a layer; pruned weights have code 0."""
        bits, granularity, calibration = self._bits[path], self._scheme.granularity, self._calibration
        if mask is not None and calibration is not None:  # what is left makes up for what was pruned: codes of their own
            return quantize_calibrated(weight, bits, calibration.moment(path), granularity, mask)
        key = (path, bits, granularity, self._scheme.method)
        if key not in self._memo:
            if calibration is None:
                self._memo[key] = quantize(weight, bits, granularity)
            else:
                self._memo[key] = quantize_calibrated(weight, bits, calibration.moment(path), granularity)
        return self._memo[key] if mask is None else _masked(self._memo[key], mask)


def resolve_keep(inventory: Inventory, configuration: Configuration) -> dict[str, tuple[int, ...]]:
    """The kept blocks of every stack, in full. Raises BadInput for a block that the model does not have."""
    keep = {stack: tuple(range(blocks)) for stack, blocks in inventory.blocks}
    for stack, indices in configuration.keep:
        if stack not in keep or indices[0] < 0 or indices[-1] >= len(keep[stack]):
            raise BadInput(f"kept blocks must be blocks of the model's {stack}, 0 to {len(keep.get(stack, ())) - 1}, got {indices}")
        keep[stack] = indices
    return keep


def check_names(inventory: Inventory, groups: Mapping[str, tuple[str, ...]], configuration: Configuration) -> None:
    """Raises BadInput for layers and groups that the model does not have, and for layers of dropped blocks."""
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
    """The rounded layer with pruned weights at code 0.

    What rounding the pruned weight gives, at a fraction of the work: pruning the smallest weights changes neither scales nor codes.
    """
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
