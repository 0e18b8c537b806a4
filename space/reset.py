"""A configuration with one axis back at the uncompressed model, all else left: what leave-one-axis-out measures."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from paredown.space.axes.layers import is_kept
from paredown.space.configuration import MAX_BITS, Configuration, Decode, Input, Scheme, Stage
from paredown.space.inventory import Inventory
from paredown.space.training import Training

Reset = Callable[[Configuration], Configuration]


def reset_axes(configuration: Configuration, inventory: Inventory, decode: Decode) -> dict[str, Configuration]:
    """For every axis that moved this configuration away from the uncompressed model, the configuration without it.

    `decode`: how the uncompressed model is decoded. Blocks that come back are stored at the widest codes there are, where layers are
    quantized at all: how a solver would have treated them it was never asked. Without widths there is no supernet
    either. "recovery" goes back as an axis does: nothing is trained, everything else stays. Axes without an effect are left out.
    """
    rules: Mapping[str, Reset] = {
        "bits": lambda one: replace(one, bits=(), kernels=(), scheme=Scheme(kernel="fp32")),
        "layers": lambda one: replace(one, keep=(), bits=_with_all_layers(one, inventory)),
        "sparsity": lambda one: replace(one, sparsity=()),
        "heads": lambda one: replace(one, heads=()),
        "width": lambda one: replace(one, width=(), schedule=_without(one.schedule, "supernet:")),
        "rank": lambda one: replace(one, rank=()),
        "activations": lambda one: replace(one, scheme=replace(one.scheme, activations="dynamic")),
        "input": lambda one: replace(one, input=Input()),
        "decode": lambda one: replace(one, decode=decode),
        "recovery": lambda one: replace(one, schedule=_without(one.schedule, "recovered:", trainings=False)),
    }
    without = {axis: rule(configuration) for axis, rule in rules.items()}
    return {axis: found for axis, found in without.items() if found != configuration}


def _without(schedule: tuple[Stage, ...], first: str, *, trainings: bool = True) -> tuple[Stage, ...]:
    """The schedule without a first stage of this kind, and without training unless it stays."""
    kept = (stage for stage in schedule if trainings or not isinstance(stage, Training))
    return tuple(stage for stage in kept if not (isinstance(stage, str) and stage.startswith(first)))


def _with_all_layers(configuration: Configuration, inventory: Inventory) -> tuple[tuple[str, int], ...]:
    """The bits of what is kept as they are (a layer in fp32 has none), and the widest codes for the layers that come back."""
    if not configuration.bits:
        return ()
    back = tuple((layer.path, MAX_BITS) for layer in inventory.layers if not is_kept(layer.path, configuration))
    return configuration.bits + back
