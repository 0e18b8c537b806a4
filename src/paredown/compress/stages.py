"""The schedule's stages that change shapes (drop, narrow, factorize), in its order, over the parameters of a model.

Every stage is a function from parameters by name to parameters by name. What follows them, pruning and quantization, is in
`paredown.compress.compress`. Dropping blocks commutes with the others; narrowing behind a factorization cuts the factors of the whole
matrix, in front of it the narrowed matrix is decomposed: the shapes are the same, the numbers are not.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from paredown.compress.calibration import Calibration
from paredown.compress.factorize import Factors, decompose, factorize
from paredown.compress.memo import Memo, remember_reduced
from paredown.compress.narrow import Cut, find_cuts, narrow
from paredown.compress.tensors import Array
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.space.reduced import original_path

Parameters = dict[str, Array]
Stage = Callable[[Parameters], Parameters]


@dataclass(frozen=True, eq=False)
class Reduction:
    """What a configuration does to the shapes of a model with the parameters `state`.

    `stored_order`: hidden units stand in the order of their importance, as a supernet's do. `modules`: of narrowed parts, only these
    (None: all). `memo` must belong to this one state. `done`: stages that were made before (training stands behind them), `made`: the
    cuts of those.
    """

    state: Mapping[str, Array]
    inventory: Inventory
    configuration: Configuration
    stored_order: bool = False
    memo: Memo = field(default_factory=dict)
    modules: Collection[str] | None = None
    done: Collection[str] = ()
    made: Mapping[str, Cut] = field(default_factory=dict)

    @cached_property
    def cuts(self) -> dict[str, Cut]:
        """Of every parameter that narrowing cuts, by its original name."""
        if "narrow" in self.done:
            return dict(self.made)
        return find_cuts(self.state, self.inventory, self.configuration, self.stored_order, self.modules)

    def apply(self, parameters: Parameters) -> Parameters:
        """These parameters of the state behind all stages, in their order."""
        stages: Mapping[str, Stage] = {"drop": self._drop, "narrow": self._narrow, "factorize": self._factorize}
        for stage in self.configuration.schedule:
            if isinstance(stage, str) and stage in stages and stage not in self.done:
                parameters = stages[stage](parameters)
        return parameters

    def variant(self, path: str) -> tuple[Any, ...]:
        """What the numbers of a layer, factor or other parameter depend on beside its name; () where nothing reduces it."""
        return reduced_by(path, self.configuration, self.stored_order)

    def moment(self, path: str, calibration: Calibration, parameters: Parameters) -> NDArray[np.floating] | None:
        """The second moment of what a layer or factor reads, from that of the original layer's inputs; None where there is none.

        A narrowed layer reads some of the inputs; `up` reads down x, whose moment is down M down'. `parameters`: those that `apply` gave.
        """
        original = original_path(path)
        moment: NDArray[np.floating] | None = calibration.moment(original)
        cut = self.cuts.get(f"{original}.weight")
        if moment is not None and cut is not None and cut.axis == 1:
            moment = moment[np.ix_(cut.indices, cut.indices)]
        if moment is None or path != f"{original}.up":
            return moment
        down = parameters[f"{original}.down.weight"].astype(np.float64)
        with threadpool_limits(1, user_api="blas"):  # the same bits however many cores there are
            projected: NDArray[np.floating] = down @ moment.astype(np.float64) @ down.T
        return projected

    def _drop(self, parameters: Parameters) -> Parameters:
        return {name: array for name, array in parameters.items() if is_kept(name, self.configuration)}

    def _narrow(self, parameters: Parameters) -> Parameters:
        return narrow(parameters, self.cuts)

    def _factorize(self, parameters: Parameters) -> Parameters:
        return factorize(parameters, self.configuration.rank_of, self._decomposed)

    def _decomposed(self, path: str, weight: Array) -> Factors:
        """Remembered by what the matrix depends on: its width, where it was narrowed before."""
        units = self.configuration.width_of.get(path.rpartition(".")[0]) if _narrowed_first(self.configuration) else None
        key = (path, "factors", units, self.stored_order and units is not None)
        return remember_reduced(self.memo, key, lambda: decompose(weight))


def reduced_by(path: str, configuration: Configuration, stored_order: bool = False) -> tuple[Any, ...]:
    """What of a configuration changes the shape of a layer, factor or other parameter; () for nothing."""
    original = original_path(path)
    module = original.rpartition(".")[0]
    units, heads, rank = configuration.width_of.get(module), configuration.heads_of.get(module), configuration.rank_of.get(original)
    if units is None and heads is None and rank is None:
        return ()
    order = (_narrowed_first(configuration),) if units is not None and rank is not None else ()
    return units, heads, rank, stored_order, *order


def _narrowed_first(configuration: Configuration) -> bool:
    return configuration.schedule.index("narrow") < configuration.schedule.index("factorize")
