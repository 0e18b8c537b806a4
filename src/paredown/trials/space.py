"""The search space of a study: the axes that its file asks for, over what was found of its model, and the points to try first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from paredown.compress.network import ranked_parameters, state_of
from paredown.compress.ranking import Ranking
from paredown.errors import BadInput
from paredown.models import Model
from paredown.search.opening import open_with
from paredown.search.space_section import SpaceSection, SparsityAxisSpec
from paredown.search.trial import Candidate
from paredown.space.axes.base import Axis, SearchSpace
from paredown.space.axes.bit_rules import FULL_BITS, NO_RULES, BitRules
from paredown.space.axes.bits import Survivors
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.heads import HeadsAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.rank import RankAxis
from paredown.space.axes.sparsity import GlobalSparsityAxis, SparsityAxis
from paredown.space.axes.width import WidthAxis
from paredown.space.configuration import MAX_BITS, Configuration, Decode, Kernel, Scheme
from paredown.space.inventory import Inventory
from paredown.trials.correcting import make_bits_axis, rules_of, tables_around
from paredown.trials.evaluation import uncompressed
from paredown.trials.families import members_of
from paredown.trials.findings import Findings
from paredown.trials.supernets import find_supernet

OBVIOUS_BITS = (8, 6, 4)


def uniform_bits(inventory: Inventory, bits: int, decode: Decode | None = None, scheme: Scheme | None = None) -> Configuration:
    """Every layer at `bits` bits, decoded as `decode` says; without a `scheme` computed in int8, every code the nearest."""
    layers = tuple((layer.path, bits) for layer in inventory.layers)
    return Configuration(bits=layers, scheme=scheme or Scheme(), decode=decode or Decode())


def make_space(section: SpaceSection, model: Model, findings: Findings, survivors: Survivors, kernel: Kernel = "int8") -> SearchSpace:
    """The axes of the study file. Without the axis `bits` every layer has 8 bits, the widest codes that the int8 kernel takes.

    Where no axis says otherwise a configuration decodes as the model's kind is decoded. `survivors`: how many weights of every layer of the
    compressed model stay where it is pruned. Raises BadInput for what the model does not have.
    """
    scheme = Scheme(kernel=kernel, method=section.bits.method if section.bits else "rtn", activations=section.activations)
    base = uniform_bits(model.inventory(), MAX_BITS, uncompressed(model).decode, scheme)
    try:
        return SearchSpace(tuple(_axes(section, model, findings, survivors)), base)
    except ValueError as error:
        raise BadInput(f"space: {error}") from None


def _axes(section: SpaceSection, model: Model, findings: Findings, survivors: Survivors) -> Iterator[Axis]:
    inventory = model.inventory()
    for stack, kept in section.layers.ranges.items() if section.layers is not None else ():
        order = findings.analysis.layer_order.get(stack)
        yield LayersAxis(stack, dict(inventory.blocks)[stack], order.removed if order else (), *kept)
    if section.heads is not None and findings.heads is not None:
        yield HeadsAxis(inventory, findings.heads.by_attention, section.heads.max, section.heads.groups)
    if section.width is not None and findings.widths is not None:
        yield WidthAxis(inventory, members_of(findings.widths), *section.width.eta, findings.supernet)
    if section.rank is not None and findings.ranks is not None:
        yield RankAxis(inventory, members_of(findings.ranks), *section.rank.eta)
    if section.sparsity is not None:
        yield _sparsity_axis(section.sparsity, model, findings.supernet)
    if section.input is not None:
        yield InputAxis(model.frontend.hop_samples, section.input.hop_samples, section.input.inputs)
    if section.decode is not None:
        yield DecodeAxis(section.decode.beam_size, section.decode.ctc_weight, section.decode.length_bonus)
    if section.bits is not None:
        tables = tables_around(section.bits, findings.analysis, findings.corrected)
        yield make_bits_axis(section.bits, inventory, findings.analysis, tables, survivors)


def _sparsity_axis(spec: SparsityAxisSpec, model: Model, supernet: str | None) -> Axis:
    """Ranked together are the weights that are pruned: those of the supernet where compressed models take its weights."""
    if spec.scope == "component":
        return SparsityAxis(spec.groups, spec.max)
    ranked, pruned = ranked_parameters(model), model if supernet is None else find_supernet(model, supernet)
    return GlobalSparsityAxis({group: ranked[group] for group in spec.groups}, Ranking(state_of(pruned)).count_survivors, spec.max)


def first_candidates(space: SearchSpace, model: Model) -> Sequence[Candidate]:
    """The uncompressed model and the opening of the space."""
    return (Candidate("uncompressed", uncompressed(model)), *open_with(space))


def obvious_candidates(space: SearchSpace, section: SpaceSection, model: Model) -> Sequence[Candidate]:
    """Uniform 8, 6 and 4 bits at full depth, to be compared with.

    Layers whose bits the study fixes have those in all of them, and none has less than its least.
    """
    decode, scheme, inventory = space.base.decode, space.base.scheme, model.inventory()
    rules = NO_RULES if section.bits is None else rules_of(section.bits)
    candidates = []
    for bits in OBVIOUS_BITS:
        uniform = uniform_bits(inventory, bits, decode, scheme)
        candidates.append(Candidate(f"uniform {bits} bits", replace(uniform, bits=_ruled(inventory, bits, rules))))
    return candidates


def _ruled(inventory: Inventory, bits: int, rules: BitRules) -> tuple[tuple[str, int], ...]:
    """One width for every layer, but for what the rules say of it."""
    found = ((layer, rules.fixed_of(layer)) for layer in inventory.layers)
    widths = ((layer.path, max(bits, rules.least_of(layer)) if fixed is None else fixed) for layer, fixed in found)
    return tuple((path, width) for path, width in widths if width != FULL_BITS)
