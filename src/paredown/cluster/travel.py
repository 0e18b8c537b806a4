"""Arguments of a job whose files lie on another machine: every path in them is replaced by the number of a parcel, and put back there.

Paths are found in tuples, lists, dictionaries and dataclasses, at any depth. One that names nothing on the sender's disk stays as it is.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sent:
    """Stands for the path of parcel `number`."""

    number: int


def send_paths(value: Any, number_of: Callable[[Path], int]) -> Any:
    """`value` with every path replaced; `number_of` takes a path along and tells its number."""
    return _replaced(value, lambda leaf: Sent(number_of(leaf)) if isinstance(leaf, Path) and leaf.exists() else leaf)


def place_paths(value: Any, places: Sequence[Path]) -> Any:
    """`value` with every parcel replaced by its place on this machine."""
    return _replaced(value, lambda leaf: places[leaf.number] if isinstance(leaf, Sent) else leaf)


def _replaced(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The value itself where nothing in it changes."""
    if type(value) in (tuple, list):
        items = [_replaced(item, leaf) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if type(value) is dict:
        found = {key: _replaced(item, leaf) for key, item in value.items()}
        return value if all(found[key] is value[key] for key in value) else found
    if is_dataclass(value) and not isinstance(value, type | Sent):
        return _replaced_fields(value, leaf)
    return leaf(value)


def _replaced_fields(value: Any, leaf: Callable[[Any], Any]) -> Any:
    found = {field.name: _replaced(getattr(value, field.name), leaf) for field in fields(value)}
    changed = {name: after for name, after in found.items() if after is not getattr(value, name)}
    if not changed:
        return value
    replaced = copy.copy(value)  # not made anew: what a dataclass checks when it is made was checked before
    for name, after in changed.items():
        object.__setattr__(replaced, name, after)
    return replaced
