"""What a bundle will be, without its numbers: which tensors are stored in which form and where, the graphs, the kernels.

The writer and the forecast both make their plan here, one from a compressed model, the other from a configuration alone. Everything
in the manifest but the digests of the files follows from the plan, so what is foretold is what is written.

Two things are rewritten before packing, so that nothing is stored twice or computed at run time: a batch norm is folded into the depthwise
convolution in front of it, and the weight of an unfolded convolution is stored channels last. Where the network computes in half precision,
what is not quantized is stored so, and so are layers of 16 bits.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from paredown.bundle.graphs.architecture import Architecture
from paredown.bundle.graphs.ctc import build_ctc, find_ctc
from paredown.bundle.graphs.decoder import build_decoder
from paredown.bundle.graphs.encoder import build_encoder
from paredown.bundle.graphs.graph import Graph, WeightLayout
from paredown.bundle.graphs.kernels import choose_kernels, nbits_width
from paredown.bundle.input_ranges import range_forms
from paredown.bundle.tensor_form import TensorForm, lay_out
from paredown.compress.compress import CalibratedOn, CompressedModel
from paredown.errors import BadInput
from paredown.runtime.bundle_files import TensorRecord
from paredown.space.configuration import HALF_BITS, Configuration, Kernel
from paredown.space.cost import FP16_BYTES
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import original_path, reduce_inventory

BATCH_NORM, FOLDED_INTO = "conv_module.norm.", "conv_module.depthwise_conv"


@dataclass(frozen=True)
class Outline:
    """A compressed model without its numbers: the form of every parameter that it keeps, and what else its bundle tells of it."""

    configuration: Configuration
    forms: Mapping[str, TensorForm]
    keep: Mapping[str, tuple[int, ...]]
    calibrated_on: CalibratedOn | None = None

    @classmethod
    def of(cls, compressed: CompressedModel) -> "Outline":
        forms = {name: TensorForm.of(tensor) for name, tensor in compressed.tensors.items()}
        return cls(compressed.configuration, forms, compressed.keep, compressed.calibrated_on)


@dataclass(frozen=True)
class BundlePlan:
    """A bundle without its numbers. `forms`: of the tensors as they are stored, sorted by name, none that no graph uses.

    `graphs`: encoder, decoder and, where the model has one over its output, ctc. `nbits`: bits of a code in the operator, of the layers
    that MatMulNBits multiplies; `unfolded`: the convolutions that are stored channels last, with their kernel size. `inventory`: that of
    the compressed model.
    """

    outline: Outline
    architecture: Architecture
    inventory: Inventory
    forms: Mapping[str, TensorForm]
    graphs: Mapping[str, Graph]
    kernels: Mapping[str, Kernel]
    nbits: Mapping[str, int]
    unfolded: Mapping[str, int]

    @cached_property
    def records(self) -> tuple[TensorRecord, ...]:
        """Where every tensor lies in `weights.bin`."""
        return lay_out(self.forms)

    @property
    def stored_parameters(self) -> int:
        """Parameters that the bundle stores, pruned weights included; ranges of activations are none."""
        ranges = range_forms(self.graphs)
        return sum(form.size for name, form in self.forms.items() if name not in ranges)


@dataclass(frozen=True)
class GraphTask:
    """All that the graphs of a bundle depend on."""

    architecture: Architecture
    layout: WeightLayout
    keep: Mapping[str, tuple[int, ...]]
    ctc_path: str | None

    @property
    def key(self) -> Hashable:
        """Equal for tasks that give the same graphs."""
        layout = self.layout
        mappings = (self.keep, layout.shapes, layout.kernels, layout.unfolded, layout.nbits)
        block = layout.block if layout.nbits else None
        return self.architecture, self.ctc_path, *(tuple(mapping.items()) for mapping in mappings), block, layout.half, layout.static

    def build(self) -> dict[str, Graph]:
        """The graphs by name, as the manifest lists them."""
        encoder = build_encoder(self.architecture, self.layout, self.keep["encoder"], self.keep["decoder"])
        graphs = {"encoder": encoder, "decoder": build_decoder(self.architecture, self.layout, self.keep["decoder"])}
        return graphs if self.ctc_path is None else graphs | {"ctc": build_ctc(self.architecture, self.layout, self.ctc_path)}


def plan_bundle(
    architecture: Architecture,
    inventory: Inventory,
    outline: Outline,
    fp32: bool = False,
    build: Callable[[GraphTask], Mapping[str, Graph]] = GraphTask.build,
) -> BundlePlan:
    """The plan of an outline's bundle; `inventory` is that of the whole model.

    `fp32` gives its graphs in fp32 over the same stored tensors, none of them rounded to half precision that was not before. `build` makes
    the graphs; a caller with many plans may remember them.
    """
    configuration = outline.configuration
    inventory = reduce_inventory(inventory, configuration)
    kernels, bits = choose_kernels(inventory, configuration), configuration.bits_of
    blocked = [layer.path for layer in inventory.layers if _is_blocked(layer, kernels[layer.path])]
    nbits = {path: nbits_width(bits[original_path(path)]) for path in blocked}
    unfolded = {layer.path: layer.shape[2] for layer in inventory.layers if len(layer.shape) == 4 and kernels[layer.path] == "int8"}
    half = configuration.scheme.kernel == "fp16" and not fp32
    forms = _in_half(_as_stored(outline.forms, unfolded), configuration, half, fp32)
    shapes = {name: form.shape for name, form in forms.items()}
    static = configuration.scheme.activations == "static"
    layout = WeightLayout(shapes, {} if fp32 else kernels, unfolded, nbits, configuration.scheme.block, half, static)
    graphs = build(GraphTask(architecture, layout, outline.keep, find_ctc(inventory)))
    forms |= range_forms(graphs)
    used = {name for graph in graphs.values() for initializer in graph.initializers for name in initializer.tensors}
    return BundlePlan(outline, architecture, inventory, {name: forms[name] for name in sorted(used)}, graphs, kernels, nbits, unfolded)


def check_decode(plan: BundlePlan) -> None:
    """Raises BadInput if the bundle would decode with a CTC that the model does not have."""
    weight = plan.outline.configuration.decode.ctc_weight
    if "ctc" not in plan.graphs and weight > 0:
        raise BadInput(f"decode.ctc_weight must be 0 for a model without a CTC over its output text, got {weight:g}")


def _is_blocked(layer: LayerInfo, kernel: Kernel) -> bool:
    """Whether MatMulNBits multiplies the layer; an embedding of that kernel is looked up."""
    return kernel == "nbits" and layer.kind != "embedding"


def _as_stored(forms: Mapping[str, TensorForm], unfolded: Mapping[str, int]) -> dict[str, TensorForm]:
    """What `paredown.bundle.storage` does to the tensors, done to their forms."""
    stored = {name: form for name, form in forms.items() if BATCH_NORM not in name}
    for name in [name for name in forms if name.endswith(f"{BATCH_NORM}weight")]:
        weight = name.replace(f"{BATCH_NORM}weight", f"{FOLDED_INTO}.weight")
        if stored[weight].bits is not None:  # the fold gives every channel a scale of its own
            stored[weight] = replace(stored[weight], channels=stored[weight].shape[0])
    for path in unfolded:
        form = stored[f"{path}.weight"]
        stored[f"{path}.weight"] = replace(form, shape=(form.shape[0], form.size // form.shape[0]))
    return stored


def _in_half(forms: Mapping[str, TensorForm], configuration: Configuration, half: bool, fp32: bool) -> dict[str, TensorForm]:
    """The forms with numbers of half precision: of all that is not quantized, or of the layers of 16 bits.

    `fp32`: but for those that a batch norm is folded into, whose numbers half precision does not have.
    """
    layers = {path for path, bits in configuration.bits if bits == HALF_BITS}

    def is_half(name: str, form: TensorForm) -> bool:
        in_layers = name.endswith(".weight") and original_path(name.removesuffix(".weight")) in layers
        return form.bits is None and (half or (in_layers and not (fp32 and name.endswith(f"{FOLDED_INTO}.weight"))))

    return {name: replace(form, number_bytes=FP16_BYTES) if is_half(name, form) else form for name, form in forms.items()}
