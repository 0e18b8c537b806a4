"""What a study asks of bit-widths beside their average: floors, fixed widths, and one width for all layers of a block."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from paredown.space.configuration import HALF_BITS, MAX_BITS, MIN_BITS
from paredown.space.inventory import Inventory, LayerInfo, block_of

Same = Literal["layer", "block"]
FULL_BITS = 32  # a layer that is left out of `bits`: it stays in fp32
_WIDTHS = range(MIN_BITS, MAX_BITS + 1)


@dataclass(frozen=True)
class BitRules:
    """Rules by key; a key is a module group, or the beginning of ESPnet paths that ends at a dot (`decoder`, `encoder.encoders.0`).

    `least`: a layer has at least so many bits, in [2, 8]. `fixed`: it has exactly so many and takes no part in the average: 2 to 8, 16 for
    half precision, 32 for none at all ("encoder only" fixes `decoder`). Of several keys that name a layer the longest holds.
    `same`: layers of one width each ("layer"), or all free layers of a block share one ("block"; layers outside blocks have their own).
    """

    least: tuple[tuple[str, int], ...] = ()
    fixed: tuple[tuple[str, int], ...] = ()
    same: Same = "layer"

    def __post_init__(self) -> None:
        for key, bits in self.least:
            if bits not in _WIDTHS:
                raise ValueError(f"least bits must lie in [{MIN_BITS}, {MAX_BITS}], got {bits!r} for {key}")
        for key, bits in self.fixed:
            if bits not in (*_WIDTHS, HALF_BITS, FULL_BITS):
                raise ValueError(
                    f"fixed bits must lie in [{MIN_BITS}, {MAX_BITS}] or be {HALF_BITS} or {FULL_BITS}, got {bits!r} for {key}"
                )
        if self.same not in get_args(Same):
            raise ValueError(f"same must be one of {', '.join(get_args(Same))}, got {self.same!r}")

    @classmethod
    def of(cls, least: Mapping[str, int], fixed: Mapping[str, int], same: Same) -> "BitRules":
        """Rules as a study file writes them."""
        return cls(tuple(sorted(least.items())), tuple(sorted(fixed.items())), same)

    def check(self, inventory: Inventory) -> None:
        """Raises ValueError if a key names no layer of the model, or if a layer is fixed below its least."""
        for what, rules in (("least", self.least), ("fixed", self.fixed)):
            for key, _ in rules:
                if not any(_names(key, layer) for layer in inventory.layers):
                    raise ValueError(f"{what} bits must name layers of the model by a module group or the beginning of a path, got {key!r}")
        for layer in inventory.layers:
            fixed, least = self.fixed_of(layer), self.least_of(layer)
            if fixed is not None and fixed < least:
                raise ValueError(f"bits must not be fixed below the least of {least}, got {fixed} for {layer.path}")

    def least_of(self, layer: LayerInfo) -> int:
        """The fewest bits that a layer may have."""
        found = _longest(self.least, layer)
        return MIN_BITS if found is None else found

    def fixed_of(self, layer: LayerInfo) -> int | None:
        """The width that a layer must have, None where it is free."""
        return _longest(self.fixed, layer)

    def share_of(self, layer: LayerInfo) -> Hashable:
        """What a free layer shares its width with: equal values, equal widths."""
        block = block_of(layer.path) if self.same == "block" else None
        return layer.path if block is None else block

    def describe(self) -> dict[str, Any]:
        """The rules that differ from none at all, as plain JSON values."""
        found = {"least": dict(self.least), "fixed": dict(self.fixed), "same": self.same if self.same != "layer" else ""}
        return {f"bits.{name}": value for name, value in found.items() if value}


NO_RULES = BitRules()


def _names(key: str, layer: LayerInfo) -> bool:
    return layer.group == key or layer.path == key or layer.path.startswith(f"{key}.")


def _longest(rules: tuple[tuple[str, int], ...], layer: LayerInfo) -> int | None:
    found = [(len(key), bits) for key, bits in rules if _names(key, layer)]
    return max(found)[1] if found else None
