"""Weights that training made: what stands behind some stages of a schedule, and how another configuration starts from them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.compress.narrow import Cut
from paredown.compress.tensors import Array
from paredown.npz import write_npz

WEIGHTS, ABOUT = "weights.npz", "recovery.json"


@dataclass(frozen=True, eq=False)
class Recovered:
    """Parameters behind the last training stage of a schedule.

    `parameters`: float32, by the names of the compressed model (original block indices, factors), those that only training uses among
    them (a source CTC). `cuts`: what narrowed parameters keep of their originals, by the original name. `steps`: learned quantization
    steps [channels] or [1] of layers, by path, `bits` the widths that they were learned for. `stages`: how many stages of the schedule
    lie behind them; 0 where a configuration only starts from these weights (see `inherit`). `about`: what happened, for the user.
    """

    parameters: Mapping[str, Array]
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    steps: Mapping[str, Array] = field(default_factory=dict)
    bits: Mapping[str, int] = field(default_factory=dict)
    stages: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)

    def steps_of(self, path: str, bits: int) -> Array | None:
        """Learned steps of a layer or factor at this bit-width, None where none were learned."""
        return self.steps.get(path) if self.bits.get(path) == bits else None

    def save(self, folder: Path) -> None:
        """Writes two files into a folder that is there."""
        arrays: dict[str, NDArray[Any]] = {f"parameter/{name}": array for name, array in self.parameters.items()}
        arrays |= {f"step/{path}": array for path, array in self.steps.items()}
        arrays |= {f"cut{cut.axis}/{name}": cut.indices for name, cut in self.cuts.items()}
        write_npz(folder / WEIGHTS, arrays)
        about = {"bits": dict(self.bits), "stages": self.stages, "about": dict(self.about)}
        (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Recovered":
        """What `save` wrote. Raises OSError or ValueError where it is missing or damaged."""
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        groups: dict[str, dict[str, Any]] = {"parameter": {}, "step": {}, "cut0": {}, "cut1": {}}
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            for key in arrays.files:
                group, _, name = key.partition("/")
                groups[group][name] = arrays[key]
        cuts = {name: Cut(axis, indices) for axis in (0, 1) for name, indices in groups[f"cut{axis}"].items()}
        return cls(groups["parameter"], cuts, groups["step"], about["bits"], about["stages"], about["about"])


def inherit(parameters: Mapping[str, Array], cuts: Mapping[str, Cut], source: Recovered) -> dict[str, Array]:
    """Parameters of a configuration (with these cuts) in which those of a recovery take the place of the model's where shapes agree.

    One that was narrowed is taken if the same units stayed, or cut if the source has it whole; what has another shape stays the model's.
    """
    return {name: _inherited(name, array, cuts, source) for name, array in parameters.items()}


def _inherited(name: str, own: Array, cuts: Mapping[str, Cut], source: Recovered) -> Array:
    found = source.parameters.get(name)
    if found is None:
        return own
    cut, cut_before = cuts.get(_original(name, cuts)), source.cuts.get(_original(name, source.cuts))
    if cut is not None and cut_before is None and found.shape != own.shape:
        found = np.ascontiguousarray(found.take(cut.indices, axis=cut.axis)) if _fits(found, own, cut) else found
    elif not _equal(cut, cut_before):
        return own
    return found if found.shape == own.shape else own


def _original(name: str, cuts: Collection[str]) -> str:
    """The name by which a cut of this parameter is known: a factor's is that of its matrix."""
    if name in cuts:
        return name
    for factor in (".down.weight", ".up.weight"):
        if name.endswith(factor):
            return f"{name.removesuffix(factor)}.weight"
    return name


def _fits(found: Array, own: Array, cut: Cut) -> bool:
    others = [size for axis, size in enumerate(found.shape) if axis != cut.axis]
    return found.ndim == own.ndim and others == [size for axis, size in enumerate(own.shape) if axis != cut.axis]


def _equal(one: Cut | None, other: Cut | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.axis == other.axis and np.array_equal(one.indices, other.indices)
