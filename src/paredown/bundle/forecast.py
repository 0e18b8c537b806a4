"""The exact bytes of the bundle that a configuration would be written as, file by file, without building it.

Nothing is compressed, quantized, packed or written: forms of tensors follow from the configuration, survivors of pruning from magnitudes
that were sorted once, and the plan of the bundle, its graphs and its manifest are made by the code that writes them. Graphs hold no
weights, so their bytes depend on shapes and kernels alone; digests in the manifest have one length, whatever they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from paredown.bundle.graphs.graph import Graph
from paredown.bundle.manifest import describe_model, describe_plan, graph_file, read_model_architecture, render_texts
from paredown.bundle.plan import BundlePlan, GraphTask, Outline, check_decode, plan_bundle
from paredown.bundle.tensor_form import TensorForm, count_bytes
from paredown.compress.compress import CalibratedOn, calibration_of, check_names, ranked_parts, resolve_keep
from paredown.compress.memo import Memo
from paredown.compress.ranking import Ranking
from paredown.compress.stages import Reduction, reduced_by
from paredown.compress.tensors import Array
from paredown.runtime.bundle_files import MANIFEST, WEIGHTS, TensorRecord
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import DIGEST, canonical_json
from paredown.space.configuration import HALF_BITS, Configuration
from paredown.space.inventory import Inventory
from paredown.space.reduced import original_path, reduce_inventory

if TYPE_CHECKING:
    from paredown.models import Model


@dataclass(frozen=True)
class _Numbers:
    """A parameter of the compressed model. `variant`: what its numbers depend on; `configuration`: one of those that give them."""

    name: str
    variant: tuple[Any, ...]
    configuration: Configuration | None = field(compare=False)
    stored_order: bool = field(compare=False)


class _ReducedState:
    """The parameters of a model in all the shapes that narrowing and factorizing give them."""

    def __init__(self, state: Mapping[str, Array], inventory: Inventory) -> None:
        self._state, self._inventory = state, inventory
        self._memo: Memo = {}

    def __getitem__(self, numbers: _Numbers, /) -> Array:
        if numbers.configuration is None:
            return self._state[numbers.name]
        path = original_path(numbers.name.removesuffix(".weight"))
        original = f"{path}.weight" if numbers.name.endswith(".weight") else numbers.name
        modules = (path.rpartition(".")[0],)
        reduction = Reduction(self._state, self._inventory, numbers.configuration, numbers.stored_order, self._memo, modules)
        return reduction.apply({original: self._state[original]})[numbers.name]


_ANY_DIGEST = "0" * 64  # SHA-256 in hex
_REMEMBERED_GRAPHS = 64  # structures; one takes about 100 kB


@dataclass(frozen=True)
class BundleForecast:
    """What a bundle would be. `files`: bytes by name, sorted; `records`: of the tensors in `weights.bin`.

    `stored_parameters`: numbers that it stores, pruned ones included; `model_parameters`: those of the uncompressed model.
    """

    files: tuple[tuple[str, int], ...]
    records: tuple[TensorRecord, ...]
    stored_parameters: int
    model_parameters: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, as `paredown.profilers.size.measure_size` counts them."""
        return sum(size for _, size in self.files)


class Forecast:
    """Foretells bundles of one model, whose weights must not change meanwhile.

    The first forecast of a structure (blocks, kernels, shapes) makes its graphs, and the first that prunes a group sorts the group's
    weights: those of narrowed and factorized layers, whose numbers are others, for every shape of theirs.
    """

    def __init__(self, model: "Model") -> None:
        """Raises BadInput if the model has a part that bundles do not cover."""
        from paredown.compress.network import in_stored_order, ranked_parameters, state_of  # torch

        state, self._in_stored_order = state_of(model), in_stored_order
        self._model, self._inventory = model, model.inventory()
        self.architecture = read_model_architecture(model)
        self._shapes = {name: array.shape for name, array in state.items()}
        self._ranking = Ranking(_ReducedState(state, self._inventory))
        self._groups = ranked_parameters(model)
        self._about = describe_model(model)
        self._graphs: dict[object, tuple[Mapping[str, Graph], Mapping[str, int]]] = {}

    def foretell(self, configuration: Configuration, calibrated_on: CalibratedOn | None = None) -> BundleForecast:
        """The bundle of a configuration, to the byte; `measurements.json`, which nothing needs to run, is not counted.

        `calibrated_on`: what the calibrated method would hear. Raises BadInput where compressing or writing would, but for weights that are
        too large for half precision: those are seen when they are rounded.
        """
        sizes = {name: len(data) for name, data in render_texts(self._model, configuration).items()}

        def build(task: GraphTask) -> Mapping[str, Graph]:
            graphs, graph_sizes = self._remembered(task)
            sizes.update(graph_sizes)
            return graphs

        plan = plan_bundle(self.architecture, self._inventory, self._outline(configuration, calibrated_on), build=build)
        check_decode(plan)
        sizes[WEIGHTS] = count_bytes(plan.records)
        sizes[MANIFEST] = self._count_manifest(plan, sizes)
        return BundleForecast(tuple(sorted(sizes.items())), plan.records, plan.stored_parameters, self._model.inference_parameters)

    def _outline(self, configuration: Configuration, calibrated_on: CalibratedOn | None) -> Outline:
        """What `compress` makes of the model, without its numbers."""
        keep, heard = resolve_keep(self._inventory, configuration), calibration_of(configuration, calibrated_on)
        check_names(self._inventory, self._groups, configuration)
        bits_of, survivors, forms = configuration.bits_of, self.count_survivors(configuration), {}
        per_channel = configuration.scheme.granularity == "channel"
        reduced = reduce_inventory(self._inventory, configuration)
        for layer in reduced.layers:
            name, bits = f"{layer.path}.weight", bits_of.get(original_path(layer.path))
            if bits is None or bits == HALF_BITS:  # the plan says which are stored in half precision
                forms[name] = TensorForm(layer.shape)
            else:
                forms[name] = TensorForm(layer.shape, bits, layer.channels if per_channel else 1, survivors.get(name))
        for name, size in reduced.vectors:
            inner = self._shapes[name][1:]  # none, or the units of a head
            forms[name] = TensorForm((size // prod(inner), *inner))
        return Outline(configuration, forms, keep, heard)

    def count_survivors(self, configuration: Configuration) -> dict[str, int]:
        """Of every parameter of the compressed model that is pruned, by its name, how many weights stay."""
        survivors: dict[str, int] = {}
        for group, share in configuration.sparsity:
            if share > 0:
                parts = [self._numbers(name, configuration) for name in ranked_parts(self._groups[group], configuration)]
                survivors |= {numbers.name: left for numbers, left in self._ranking.count_survivors(parts, share).items()}
        return survivors

    def _numbers(self, name: str, configuration: Configuration) -> "_Numbers":
        stored_order = self._in_stored_order(self._model, configuration)
        variant = reduced_by(name.removesuffix(".weight"), configuration, stored_order)
        return _Numbers(name, variant, configuration if variant else None, stored_order)

    def _remembered(self, task: GraphTask) -> tuple[Mapping[str, Graph], Mapping[str, int]]:
        """The graphs of a task, and the bytes of their files by name, made once."""
        if task.key not in self._graphs:
            if len(self._graphs) == _REMEMBERED_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))  # the oldest
            graphs = task.build()
            self._graphs[task.key] = graphs, {graph_file(name): len(graph.serialize()) for name, graph in graphs.items()}
        return self._graphs[task.key]

    def _count_manifest(self, plan: BundlePlan, sizes: Mapping[str, int]) -> int:
        files = {name: entry | {"bytes": sizes[name]} for name, entry in describe_files(dict.fromkeys(sizes, b"")).items()}
        value = self._about | describe_plan(self._model, plan) | {"files": files}
        return len(canonical_json(value | {DIGEST: _ANY_DIGEST}).encode())
