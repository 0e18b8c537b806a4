"""Weights that training made: what stands behind some stages of a schedule, and how another configuration starts from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paredown.compress.narrow import Cut
from paredown.compress.tensors import Array
from paredown.npz import write_npz
from paredown.space.reduced import original_path

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
        """What `save` wrote. Raises OSError, or what NumPy, its zip files and JSON raise, where it is missing or damaged."""
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        groups: dict[str, dict[str, Any]] = {"parameter": {}, "step": {}, "cut0": {}, "cut1": {}}
        with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
            for key in arrays.files:
                group, _, name = key.partition("/")
                groups[group][name] = arrays[key]
        cuts = {name: Cut(axis, indices) for axis in (0, 1) for name, indices in groups[f"cut{axis}"].items()}
        return cls(groups["parameter"], cuts, groups["step"], about["bits"], about["stages"], about["about"])


def inherit(parameters: Mapping[str, Array], cuts: Mapping[str, Cut], source: Recovered) -> Recovered:
    """Parameters of a configuration (with these cuts) in which those of a recovery take the place of the model's where shapes agree.

    One that was narrowed is taken if the same units stayed, or cut if the source has it whole; what has another shape stays the model's.
    Two factors are taken together or not at all: each alone would stand beside the other half of another product. Learned steps come
    along with the weights that they belong to.
    """
    found = {name: taken for name, own in parameters.items() if (taken := _taken(name, own, cuts, source)) is not None}
    found = {name: taken for name, taken in found.items() if _other_factor(name) in (None, *found)}
    steps = {path: _cut_steps(path, steps, cuts, source, found) for path, steps in source.steps.items() if f"{path}.weight" in found}
    return Recovered({**parameters, **found}, dict(cuts), steps, {path: source.bits[path] for path in steps})


def _taken(name: str, own: Array, cuts: Mapping[str, Cut], source: Recovered) -> Array | None:
    """What a parameter inherits, in the shape of `own`; None where nothing fits."""
    found = source.parameters.get(name)
    if found is None:
        return None
    cut, cut_before = _cut_of(name, cuts), _cut_of(name, source.cuts)
    if cut is not None and cut_before is None:
        return np.ascontiguousarray(found.take(cut.indices, axis=cut.axis)) if _fits(found, own, cut) else None
    agrees = cut is None or _equal(cut, cut_before)  # a cut that left as many as there are whole left all
    return found if agrees and found.shape == own.shape else None


def _cut_steps(path: str, steps: Array, cuts: Mapping[str, Cut], source: Recovered, found: Mapping[str, Array]) -> Array:
    """The steps of the output channels that stayed; one step for the whole tensor stays as it is."""
    cut, channels = _cut_of(f"{path}.weight", cuts), len(source.parameters[f"{path}.weight"])
    if cut is None or cut.axis != 0 or len(steps) != channels or len(found[f"{path}.weight"]) == channels:
        return steps
    return steps[cut.indices]


def _cut_of(name: str, cuts: Mapping[str, Cut]) -> Cut | None:
    """The cut of a parameter; of a factor that of its matrix, where this factor has the axis."""
    for factor, axis in ((".up.weight", 0), (".down.weight", 1)):
        if name not in cuts and name.endswith(factor):
            cut = cuts.get(f"{name.removesuffix(factor)}.weight")
            return cut if cut is not None and cut.axis == axis else None
    return cuts.get(name)


def _other_factor(name: str) -> str | None:
    """The parameter that this one makes a product with, None unless it is a factor."""
    path, weight = name.removesuffix(".weight"), name.endswith(".weight")
    for factor, other in (("up", "down"), ("down", "up")):
        if weight and original_path(path) != path and path.endswith(f".{factor}"):
            return f"{original_path(path)}.{other}.weight"
    return None


def _fits(found: Array, own: Array, cut: Cut) -> bool:
    others = [size for axis, size in enumerate(found.shape) if axis != cut.axis]
    return found.ndim == own.ndim and others == [size for axis, size in enumerate(own.shape) if axis != cut.axis]


def _equal(one: Cut, other: Cut | None) -> bool:
    return other is not None and one.axis == other.axis and np.array_equal(one.indices, other.indices)
