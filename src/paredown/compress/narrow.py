"""Axes `width` and `heads`: which hidden units and heads stay, and what is left of the weights around them.

A feed-forward keeps its most important hidden units, in the order in which they stand. Unit j adds w_2[:, j] activation(w_1[j] x) to the
output; its importance is ||w_1[j]|| ||w_2[:, j]|| of the original weights. Of a supernet, whose units stand in the order of their
importance, the first ones stay. (Lossless 4-bit Conformer paper, 3.1: candidates of a width share their first parameters.)

An attention keeps the heads that the configuration names: their rows of queries, keys, values and positions, and their columns of the
output.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from paredown.compress.tensors import Array
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cut:
    """What a parameter keeps: `indices`, ascending, along `axis`."""

    axis: int
    indices: Indices


def rank_units(w_1: Array, w_2: Array) -> Indices:
    """Hidden units by importance, the most important first and of equal ones the lower index; w_1 [units, in], w_2 [out, units]."""
    importance = np.linalg.norm(np.asarray(w_1, np.float64), axis=1) * np.linalg.norm(np.asarray(w_2, np.float64), axis=0)
    return np.argsort(-importance, kind="stable")


def find_cuts(
    state: Mapping[str, Array],
    inventory: Inventory,
    configuration: Configuration,
    stored_order: bool,
    modules: Collection[str] | None = None,
) -> dict[str, Cut]:
    """The cuts of all narrowed feed-forwards and attentions (or those in `modules`), by the original name of the parameter.

    `state` holds the original weights; `stored_order`: units stand in the order of their importance.
    """
    cuts: dict[str, Cut] = {}
    for path, units in configuration.width:
        if modules is None or path in modules:
            cuts |= _cut_units(path, units, state, stored_order)
    for path, heads in configuration.heads:
        if modules is None or path in modules:
            cuts |= _cut_heads(path, heads, inventory.by_path[f"{path}.linear_q"].channels // dict(inventory.heads)[path])
    return {name: cut for name, cut in cuts.items() if name in state}


def narrow(parameters: Mapping[str, Array], cuts: Mapping[str, Cut]) -> dict[str, Array]:
    """The parameters with these cuts made; of a factorized weight the factor that has the axis is cut."""
    found = dict(parameters)
    for name, cut in cuts.items():
        place = name if name in found else _factor(name, cut.axis)
        if place in found:
            found[place] = np.ascontiguousarray(found[place].take(cut.indices, axis=cut.axis))
    return found


def pad(parameters: Mapping[str, Array], cuts: Mapping[str, Cut], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The reverse: parameters in their original `shapes`, by original name, zeros where something was cut; factors are multiplied.

    A hidden unit or a head whose weights, biases and outputs are zero adds nothing, whatever the activation.
    """
    found: dict[str, Array] = {}
    for name, array in parameters.items():
        path, _, last = name.removesuffix(".weight").rpartition(".")
        original = f"{path}.weight"
        if last == "up" and f"{path}.down.weight" in parameters:
            with threadpool_limits(1, user_api="blas"):  # the same bits however many cores there are
                array = (array.astype(np.float64) @ parameters[f"{path}.down.weight"]).astype(np.float32)
        elif last == "down" and f"{path}.up.weight" in parameters:
            continue
        else:
            original = name
        found[original] = _spread(array, cuts.get(original), shapes[original])
    return found


def _spread(array: Array, cut: Cut | None, shape: tuple[int, ...]) -> Array:
    if cut is None:
        return array
    whole = np.zeros(shape, np.float32)
    whole[(slice(None),) * cut.axis + (cut.indices,)] = array
    return whole


def _cut_units(path: str, units: int, state: Mapping[str, Array], stored_order: bool) -> Iterator[tuple[str, Cut]]:
    first, second = f"{path}.w_1.weight", f"{path}.w_2.weight"
    kept = np.arange(units) if stored_order else np.sort(rank_units(state[first], state[second])[:units])
    yield first, Cut(0, kept)
    yield f"{path}.w_1.bias", Cut(0, kept)
    yield second, Cut(1, kept)


def _cut_heads(path: str, heads: tuple[int, ...], units: int) -> Iterator[tuple[str, Cut]]:
    """`units`: of a head."""
    kept = np.asarray(heads, np.int64)
    rows = (kept[:, None] * units + np.arange(units)).reshape(-1)
    for part in ("q", "k", "v", "pos"):
        yield f"{path}.linear_{part}.weight", Cut(0, rows)
        yield f"{path}.linear_{part}.bias", Cut(0, rows)
    for part in ("u", "v"):
        yield f"{path}.pos_bias_{part}", Cut(0, kept)  # [heads, units]
    yield f"{path}.linear_out.weight", Cut(1, rows)


def _factor(name: str, axis: int) -> str:
    return f"{name.removesuffix('.weight')}.{('up', 'down')[axis]}.weight"
