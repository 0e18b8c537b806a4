"""What a study asks for and can never get, found before anything is searched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paredown.analysis.result import WIDTHS, Analysis
from paredown.bundle.graphs.ctc import find_ctc
from paredown.errors import BadInput
from paredown.search.budget import Budget
from paredown.search.outcome import Rejected
from paredown.search.space_section import BitsAxisSpec, SpaceSection
from paredown.search.spec import StudySpec
from paredown.space.axes.base import SearchSpace
from paredown.space.configuration import Configuration, Input
from paredown.space.inventory import Inventory
from paredown.trials.correcting import make_bits_axis
from paredown.trials.evaluation import Evaluator, Reference, energy_on_one_scale
from paredown.trials.findings import load_supernet
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.trials.foreseen import Foreseen


def inputs_of(section: SpaceSection) -> tuple[Input, ...]:
    """Every input that the axis can choose, the model's own among them."""
    if section.input is None:
        return (Input(),)
    rates, hops = section.input.inputs or (Input(),), section.input.hop_samples
    return (Input(), *(replace(rate, hop_samples=hop) for rate in rates for hop in hops or (None,)))


def check_space(section: SpaceSection, model: "Model") -> None:
    """Raises BadInput where the study asks for blocks, groups, layers, a CTC, an input or a supernet that the model does not have."""
    from paredown.compress.network import ranked_parameters  # torch
    from paredown.models.input_size import resize_input  # torch

    inventory = model.inventory()
    for heard in inputs_of(section):
        resize_input(model.frontend, heard)
    if section.decode is not None and section.decode.ctc_weight is not None and find_ctc(inventory) is None:
        raise BadInput("decode.ctc_weight needs a model with a CTC over its output text, this one has none")
    for stack, (low, high) in section.layers.ranges.items() if section.layers is not None else ():
        blocks = dict(inventory.blocks)[stack]
        least = min(2, blocks) if section.layers is not None and section.layers.protect else 1  # the first and the last block stay
        if not least <= low <= high <= blocks:
            raise BadInput(f"layers.{stack} must lie in [{least}, {blocks}]: the model has {blocks} {stack} blocks; got [{low}, {high}]")
    for group in section.sparsity.groups if section.sparsity is not None else ():
        ranked = [name for name, parameters in ranked_parameters(model).items() if parameters]
        if group not in ranked:
            raise BadInput(f"sparsity.groups must be groups of this model ({', '.join(ranked)}), got {group}")
    if section.bits is not None:
        _check_bits(section.bits, inventory)
    load_supernet(section.width, model)


def _check_bits(spec: BitsAxisSpec, inventory: Inventory) -> None:
    """Makes the axis of a table of nothing, which it refuses for all reasons but those of the table."""
    paths = tuple(layer.path for layer in inventory.layers)
    nothing = Analysis(paths, np.zeros((len(paths), len(WIDTHS))), {}, "", 0.0)
    try:
        make_bits_axis(spec, inventory, nothing)
    except ValueError as error:
        raise BadInput(f"space.bits: {error}") from None


def check_targets(spec: StudySpec) -> None:
    """Raises BadInput, with what to do about it, where this machine cannot run bundles on a target that the study names."""
    from paredown.doctor.accelerator import look_at_accelerator

    for target in spec.objectives.latency:
        missing = next((finding for finding in look_at_accelerator() if finding.state != "ok"), None) if target == "cuda" else None
        if missing is not None:
            raise BadInput(f"latency on {target} cannot be measured here: {missing.subject}: {missing.found}; it takes {missing.enable}")


def check_budgets(
    spec: StudySpec, space: SearchSpace, workshop: Workshop, evaluator: Evaluator, foreseen: "Foreseen | None" = None
) -> None:
    """Raises BadInput if the smallest model of the space, all axes at their lowest, misses a budget on size, latency or energy.

    Its bytes are foretold, and its latency predicted where `foreseen` can; it is built only where energy is limited, or where the limit of
    latency lies inside the interval of the prediction. The lower end of an interval counts, so that noise refuses nothing.
    """
    limits = {budget.measure: budget for budget in spec.budget_list}
    if "size_bytes" in limits:
        _check_size(limits["size_bytes"], space.smallest(), workshop)
    if "latency_ms@cpu" in limits:
        _check_latency(limits["latency_ms@cpu"], space.smallest(), workshop, evaluator, foreseen)
    if "energy_mj@cpu" in limits:
        _check_energy(limits["energy_mj@cpu"], space.smallest(), workshop, evaluator)


def _check_size(budget: Budget, smallest: Configuration, workshop: Workshop) -> None:
    size_bytes = workshop.foretell(smallest).size_bytes
    if size_bytes > budget.limit:
        raise BadInput(f"{budget} cannot be reached: with every axis at its lowest the bundle has {size_bytes / 1e6:.3f} MB")


def _check_latency(budget: Budget, smallest: Configuration, workshop: Workshop, evaluator: Evaluator, foreseen: "Foreseen | None") -> None:
    predicted = None if foreseen is None else dict(foreseen.figures(smallest)).get(budget.measure)
    if predicted is not None and predicted.ci95 is not None and not predicted.detail_of.get("extrapolated"):
        low, high = predicted.ci95
        if high <= budget.limit:
            return
        if low > budget.limit:
            raise BadInput(
                f"{budget} cannot be reached: with every axis at its lowest an utterance is predicted to take {predicted.value:.1f} ms"
            )
    reference = evaluator.reference
    with _built(smallest, workshop, reference) as bundle:
        timing = evaluator.time(bundle, reference.bundle).free
    if timing.ratio_ci95[0] * reference.latency_ms > budget.limit:
        reached = timing.ratio * reference.latency_ms
        raise BadInput(f"{budget} cannot be reached: with every axis at its lowest an utterance takes {reached:.1f} ms")


def _check_energy(budget: Budget, smallest: Configuration, workshop: Workshop, evaluator: Evaluator) -> None:
    reference = evaluator.reference
    with _built(smallest, workshop, reference) as bundle:
        try:
            energy = evaluator.count_energy(bundle, reference.bundle)
        except Rejected:
            return  # windows that were refused tell nothing of the budget
    if energy is None or reference.energy_mj is None:
        return
    found = energy_on_one_scale(energy, reference.energy_mj)
    if (found.value if found.ci95 is None else found.ci95[0]) > budget.limit:
        raise BadInput(f"{budget} cannot be reached: with every axis at its lowest an utterance takes {found.value:.4g} mJ")


@contextmanager
def _built(configuration: Configuration, workshop: Workshop, reference: Reference) -> Iterator[Path]:
    """Its bundle, thrown away afterwards unless it is the reference's."""
    bundle = workshop.build(configuration)
    try:
        yield bundle
    finally:
        if bundle != reference.bundle:
            workshop.discard(configuration)
