"""A configuration with one axis back at the uncompressed model, all else left: what leave-one-axis-out measures."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from paredown.space.axes.layers import is_kept
from paredown.space.configuration import MAX_BITS, TRANSFORMATIONS, Configuration, Decode, Input, Scheme
from paredown.space.inventory import Inventory

Reset = Callable[[Configuration], Configuration]


def reset_axes(configuration: Configuration, inventory: Inventory, decode: Decode) -> dict[str, Configuration]:
    """For every axis that moved this configuration away from the uncompressed model, the configuration without it.

    `decode`: how the uncompressed model is decoded. Blocks that come back are stored at the widest codes there are, where layers are
    quantized at all: how a solver would have treated them it was never asked. Without widths there is no supernet
    either. Axes without an effect are left out.
    """
    rules: Mapping[str, Reset] = {
        "bits": lambda one: replace(one, bits=(), kernels=(), scheme=Scheme(kernel="fp32")),
        "layers": lambda one: replace(one, keep=(), bits=_with_all_layers(one, inventory)),
        "sparsity": lambda one: replace(one, sparsity=()),
        "heads": lambda one: replace(one, heads=()),
        "width": lambda one: replace(one, width=(), schedule=tuple(stage for stage in one.schedule if stage in TRANSFORMATIONS)),
        "rank": lambda one: replace(one, rank=()),
        "activations": lambda one: replace(one, scheme=replace(one.scheme, activations="dynamic")),
        "input": lambda one: replace(one, input=Input()),
        "decode": lambda one: replace(one, decode=decode),
    }
    without = {axis: rule(configuration) for axis, rule in rules.items()}
    return {axis: found for axis, found in without.items() if found != configuration}


def _with_all_layers(configuration: Configuration, inventory: Inventory) -> tuple[tuple[str, int], ...]:
    """The bits of what is kept as they are (a layer in fp32 has none), and the widest codes for the layers that come back."""
    if not configuration.bits:
        return ()
    back = tuple((layer.path, MAX_BITS) for layer in inventory.layers if not is_kept(layer.path, configuration))
    return configuration.bits + back
