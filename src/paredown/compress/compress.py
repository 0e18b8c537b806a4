"""Configuration x weights -> compressed weights: drop, narrow, factorize (`paredown.compress.stages`), set zeros, quantize. NumPy only.

Rounding 11M weights to the nearest takes a fraction of a second, the calibrated method about ten.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from paredown.compress.calibration import Calibration
from paredown.compress.gptq import quantize_calibrated
from paredown.compress.memo import Memo, remember_reduced
from paredown.compress.narrow import Cut
from paredown.compress.prune import survivors
from paredown.compress.quantize import quantize
from paredown.compress.ranges import Range, find_ranges
from paredown.compress.recovered import Recovered, inherit
from paredown.compress.stages import Parameters, Reduction
from paredown.compress.tensors import Array, Quantized, Tensor, to_half
from paredown.errors import BadInput
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import HALF_BITS, Configuration
from paredown.space.inventory import Inventory
from paredown.space.reduced import check_reductions, original_path, parts_of, reduce_inventory

Mask = NDArray[np.bool_]
Given = TypeVar("Given")


@dataclass(frozen=True)
class CalibratedOn:
    """What the calibrated method, or the ranges of static activations, saw: digest of model, data and settings, number of utterances."""

    digest: str
    utterances: int


@dataclass(frozen=True)
class CompressedModel:
    """Every parameter that inference still needs, by its ESPnet name with original block indices; factors as `space.reduced` names them.

    `keep` lists the kept blocks of every stack in full, also where none was dropped. `calibrated_on` is None where nothing was heard.
    `cuts`: what narrowed parameters keep of their originals, by the original name. `ranges`: static ones of what int8 layers and factors
    read, by path; none where activations are dynamic.
    """

    configuration: Configuration
    tensors: Mapping[str, Tensor]
    keep: Mapping[str, tuple[int, ...]]
    calibrated_on: CalibratedOn | None = None
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


def compress(
    state: Mapping[str, Array],
    inventory: Inventory,
    groups: Mapping[str, tuple[str, ...]],
    configuration: Configuration,
    memo: Memo | None = None,
    calibration: Calibration | None = None,
    stored_order: bool = False,
    recovered: Recovered | None = None,
) -> CompressedModel:
    """The weights that this configuration leaves.

    `state` maps parameter names to float32 arrays, `groups` module groups to the names of the parameters they rank and prune.
    A layer absent from the configuration's bits stays float32, zeros included (with kernel fp16 or 16 bits as the numbers that half
    precision has). `memo` must belong to this one state and calibration; it is filled. `stored_order`: hidden units stand in the order of
    their importance. `recovered`: weights that training made, behind the first `recovered.stages` stages of the schedule, whose changes
    are made already; with 0 stages those that the configuration starts from.
    Raises BadInput if the configuration names what the model does not have: a block, a layer, a group, a width, a head, a rank; or gives
    bits to a layer of a dropped block; or takes the calibrated method without `calibration`; or if a weight is not finite or too large
    for half precision. Raises ValueError if the weights do not fit the inventory.
    """
    keep = resolve_keep(inventory, configuration)
    check_names(inventory, groups, configuration)
    memo = {} if memo is None else memo
    reduction = _begin(state, inventory, configuration, stored_order, memo, recovered)
    parameters, recovered = _reduce(reduction, recovered)
    masks, rounding = _masks(parameters, groups, configuration), _Rounding(reduction, parameters, calibration, recovered)
    tensors: dict[str, Tensor] = {}
    reduced = reduce_inventory(inventory, configuration)
    for layer in reduced.layers:
        name = f"{layer.path}.weight"
        tensors[name] = rounding.store(layer.path, parameters[name], masks.get(name))
    for name, _ in reduced.vectors:
        tensors[name] = parameters[name] * masks[name] if name in masks else parameters[name]
    if configuration.scheme.kernel == "fp16":
        halves = {name: to_half(name, tensor).astype(np.float32) for name, tensor in tensors.items() if not isinstance(tensor, Quantized)}
        tensors |= halves
    ranges = {} if calibration is None else find_ranges(inventory, configuration, calibration, tensors, reduction.cuts)
    return CompressedModel(configuration, tensors, keep, rounding.calibrated_on, reduction.cuts, ranges)


def _begin(
    state: Mapping[str, Array],
    inventory: Inventory,
    configuration: Configuration,
    stored_order: bool,
    memo: Memo,
    recovered: Recovered | None,
) -> Reduction:
    """What is left to do to the shapes. Units are ranked by what training made of them, where they are whole."""
    if recovered is None or recovered.stages == 0:
        return Reduction(state, inventory, configuration, stored_order, memo)
    whole = {name: array for name, array in recovered.parameters.items() if name in state and array.shape == state[name].shape}
    done = tuple(stage for stage in configuration.schedule[: recovered.stages] if isinstance(stage, str))
    return Reduction({**state, **whole}, inventory, configuration, stored_order, memo, done=done, made=recovered.cuts)


def _reduce(reduction: Reduction, recovered: Recovered | None) -> tuple[Parameters, Recovered | None]:
    """The parameters behind all stages that change shapes, and what of a recovery belongs to them."""
    if recovered is not None and recovered.stages:
        needed = set(_names(reduction.inventory, reduction.configuration, reduction.done))
        return reduction.apply({name: array for name, array in recovered.parameters.items() if name in needed}), recovered
    parameters = reduction.apply(_read_kept(reduction.state, reduction.inventory, reduction.configuration))
    if recovered is None:
        return parameters, None
    inherited = inherit(parameters, reduction.cuts, recovered)
    return dict(inherited.parameters), inherited


def _names(inventory: Inventory, configuration: Configuration, done: Collection[str]) -> Iterator[str]:
    """The parameters of kept blocks by name, with factors in the place of layers if they are factorized already."""
    for layer in inventory.layers:
        if is_kept(layer.path, configuration):
            paths = parts_of(layer.path, configuration) if "factorize" in done else (layer.path,)
            yield from (f"{path}.weight" for path in paths)
    yield from (name for name, _ in inventory.vectors if is_kept(name, configuration))


def calibration_of(configuration: Configuration, calibration: Given | None) -> Given | None:
    """What the configuration's codes or ranges are chosen by, None where nothing is heard. Raises BadInput if it is missing."""
    if configuration.is_calibrated and calibration is None:
        asks = "method gptq" if configuration.scheme.method == "gptq" else "static activations"
        verb = "needs" if configuration.scheme.method == "gptq" else "need"
        raise BadInput(f"{asks} {verb} a calibration (utterances that the model hears), got none")
    return calibration if configuration.is_calibrated else None


class _Rounding:
    """How a configuration makes codes, with what was made before in the reduction's memo."""

    def __init__(
        self, reduction: Reduction, parameters: Parameters, calibration: Calibration | None, recovered: Recovered | None = None
    ) -> None:
        configuration = reduction.configuration
        self._recovered = recovered
        self._reduction, self._parameters = reduction, parameters
        self._scheme, self._bits = configuration.scheme, configuration.bits_of
        self._heard = calibration_of(configuration, calibration)
        self._calibration = self._heard if configuration.scheme.method == "gptq" else None

    @property
    def calibrated_on(self) -> CalibratedOn | None:
        return None if self._heard is None else CalibratedOn(self._heard.digest, self._heard.utterances)

    def store(self, path: str, weight: Array, mask: Mask | None) -> Tensor:
        """A layer as its bits have it: its codes, or its numbers, of half precision for 16 bits; pruned weights are zero."""
        bits = self._bits.get(original_path(path))
        if bits is not None and bits != HALF_BITS:
            return self._quantize(path, weight, bits, mask)
        left = weight if mask is None else weight * mask
        return left if bits is None else to_half(f"{path}.weight", left).astype(np.float32)

    def _quantize(self, path: str, weight: Array, bits: int, mask: Mask | None) -> Quantized:
        granularity, variant, memo = self._scheme.granularity, self._reduction.variant(path), self._reduction.memo
        steps = None if self._recovered is None else self._recovered.steps_of(path, bits)
        if steps is not None and len(steps) == (len(weight) if granularity == "channel" else 1):  # codes as training saw them
            return quantize(weight, bits, granularity, mask, scales=steps)
        if mask is not None and self._calibration is not None:  # what is left makes up for what was pruned: codes of their own
            return quantize_calibrated(weight, bits, self._moment(path), granularity, mask)
        key = (path, bits, granularity, self._scheme.method)
        if variant and self._calibration is None:  # made faster than looked for: there are as many as widths and ranks
            return quantize(weight, bits, granularity, mask)
        if variant:
            return remember_reduced(memo, (*key, variant), lambda: quantize_calibrated(weight, bits, self._moment(path), granularity))
        if key not in memo:
            if self._calibration is None:
                memo[key] = quantize(weight, bits, granularity)
            else:
                memo[key] = quantize_calibrated(weight, bits, self._moment(path), granularity)
        whole: Quantized = memo[key]
        return whole if mask is None else _masked(whole, mask)

    def _moment(self, path: str) -> NDArray[np.floating] | None:
        assert self._calibration is not None
        return self._reduction.moment(path, self._calibration, self._parameters)


def resolve_keep(inventory: Inventory, configuration: Configuration) -> dict[str, tuple[int, ...]]:
    """The kept blocks of every stack, in full. Raises BadInput for a block that the model does not have."""
    keep = {stack: tuple(range(blocks)) for stack, blocks in inventory.blocks}
    for stack, indices in configuration.keep:
        if stack not in keep or indices[0] < 0 or indices[-1] >= len(keep[stack]):
            raise BadInput(f"kept blocks must be blocks of the model's {stack}, 0 to {len(keep.get(stack, ())) - 1}, got {indices}")
        keep[stack] = indices
    return keep


def check_names(inventory: Inventory, groups: Mapping[str, tuple[str, ...]], configuration: Configuration) -> None:
    """Raises BadInput for what the model does not have: layers, groups, widths, heads, ranks; and for layers of dropped blocks."""
    for path, _ in configuration.bits:
        if path not in inventory.by_path:
            raise BadInput(f"bits must name layers of the model, got {path!r}")
        if not is_kept(path, configuration):
            raise BadInput(f"bits must name layers of kept blocks, got {path!r}")
    for path, kernel in configuration.kernels:
        if kernel in ("int8", "nbits") and configuration.bits_of[path] == HALF_BITS:
            raise BadInput(f"kernel {kernel} takes layers of 2 to 8 bits, got {HALF_BITS} for {path!r}")
    for group, _ in configuration.sparsity:
        if not groups.get(group):
            present = ", ".join(name for name, members in groups.items() if members)
            raise BadInput(f"sparsity must name a module group of the model ({present}), got {group!r}")
    try:
        check_reductions(inventory, configuration)
    except ValueError as error:
        raise BadInput(str(error)) from error


def ranked_parts(names: Iterable[str], configuration: Configuration) -> Iterator[str]:
    """The parameters of the compressed model that these parameters of the model become, in their order; none of dropped blocks."""
    for name in names:
        if name.endswith(".weight"):
            yield from (f"{path}.weight" for path in parts_of(name.removesuffix(".weight"), configuration))
        elif is_kept(name, configuration):
            yield name


def _masks(parameters: Parameters, groups: Mapping[str, tuple[str, ...]], configuration: Configuration) -> dict[str, Mask]:
    """Masks of every pruned parameter; what dropping, narrowing and factorizing leave takes part in the ranking."""
    masks: dict[str, Mask] = {}
    for group, share in configuration.sparsity:
        if share > 0:
            masks |= survivors({name: parameters[name] for name in ranked_parts(groups[group], configuration)}, share)
    return masks


def _masked(layer: Quantized, mask: Mask) -> Quantized:
    """The rounded layer with pruned weights at code 0.

    What rounding the pruned weight gives, at a fraction of the work: pruning the smallest weights changes neither scales nor codes.
    """
    emptied = ~mask.reshape(len(layer.scales), -1).any(axis=1)
    return replace(layer, codes=layer.codes * mask, scales=np.where(emptied, np.float32(1), layer.scales), mask=mask)


def _read_kept(state: Mapping[str, Array], inventory: Inventory, configuration: Configuration) -> Parameters:
    """The parameters of kept blocks, in network order."""
    found = {}
    for layer in inventory.layers:
        name = f"{layer.path}.weight"
        if is_kept(name, configuration):
            found[name] = _checked(state, name, layer.shape)
    found |= {name: _checked(state, name, None, size) for name, size in inventory.vectors if is_kept(name, configuration)}
    return found


def _checked(state: Mapping[str, Array], name: str, shape: tuple[int, ...] | None, size: int | None = None) -> Array:
    if name not in state:
        raise ValueError(f"the weights must hold every parameter of the inventory, {name!r} is missing")
    array = np.asarray(state[name], dtype=np.float32)
    if (shape is not None and array.shape != shape) or (size is not None and array.size != size):
        expected = f"{prod(shape)} numbers as {shape}" if shape is not None else f"{size} numbers"
        raise ValueError(f"{name} must hold {expected}, got {array.shape}")
    if not np.isfinite(array).all():
        raise BadInput(f"weights must be finite, got {array[~np.isfinite(array)][0]} in {name}")
    return array
