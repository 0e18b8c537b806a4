"""The exact bytes of the bundle that a configuration would be written as, file by file, without building it.

Nothing is compressed, quantized, packed or written: forms of tensors follow from the configuration, survivors of pruning from magnitudes
that were sorted once, and the plan of the bundle, its graphs and its manifest are made by the code that writes them. Graphs hold no
weights, so their bytes depend on shapes and kernels alone; digests in the manifest have one length, whatever they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paredown.bundle.graphs.graph import Graph
from paredown.bundle.manifest import describe_model, describe_plan, graph_file, read_model_architecture, render_texts
from paredown.bundle.plan import BundlePlan, GraphTask, Outline, check_decode, plan_bundle
from paredown.bundle.tensor_form import TensorForm, count_bytes
from paredown.compress.compress import CalibratedOn, calibration_of, check_names, resolve_keep
from paredown.compress.ranking import Ranking
from paredown.runtime.bundle_files import MANIFEST, WEIGHTS, TensorRecord
from paredown.runtime.file_check import describe_files
from paredown.runtime.seal import DIGEST, canonical_json
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.models import Model

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

    The first forecast of a structure (blocks, kernels) makes its graphs, and the first that prunes a group sorts the group's weights.
    """

    def __init__(self, model: "Model") -> None:
        """Raises BadInput if the model has a part that bundles do not cover."""
        from paredown.compress.network import ranked_parameters, state_of  # torch

        state = state_of(model)
        self._model, self._inventory = model, model.inventory()
        self.architecture = read_model_architecture(model)
        self._shapes = {name: array.shape for name, array in state.items()}
        self._ranking = Ranking(state)
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
        bits_of, survivors, forms = configuration.bits_of, self._survivors(configuration), {}
        per_channel = configuration.scheme.granularity == "channel"
        for layer in self._inventory.layers:
            name, bits = f"{layer.path}.weight", bits_of.get(layer.path)
            if not is_kept(name, configuration):
                continue
            if bits is None:
                forms[name] = TensorForm(layer.shape)
            else:
                forms[name] = TensorForm(layer.shape, bits, layer.channels if per_channel else 1, survivors.get(name))
        forms |= {name: TensorForm(self._shapes[name]) for name, _ in self._inventory.vectors if is_kept(name, configuration)}
        return Outline(configuration, forms, keep, heard)

    def _survivors(self, configuration: Configuration) -> dict[str, int]:
        """Of every parameter that is pruned, how many weights stay."""
        survivors: dict[str, int] = {}
        for group, share in configuration.sparsity:
            if share > 0:
                survivors |= self._ranking.count_survivors((name for name in self._groups[group] if is_kept(name, configuration)), share)
        return survivors

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
