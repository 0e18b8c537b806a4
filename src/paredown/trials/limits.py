"""What a study asks for and can never get, found before anything is searched."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paredown.errors import BadInput
from paredown.search.budget import Budget
from paredown.search.outcome import Rejected
from paredown.search.spec import SpaceSection, StudySpec
from paredown.space.axes.base import SearchSpace
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory
from paredown.trials.evaluation import Evaluator, Reference, energy_on_one_scale
from paredown.trials.workshop import Workshop


def check_space(section: SpaceSection, inventory: Inventory) -> None:
    """Raises BadInput where the model has fewer blocks or other groups than the study asks for."""
    if section.layers is not None:
        (low, high), blocks = section.layers.decoder, dict(inventory.blocks)["decoder"]
        least = min(2, blocks)  # the first and the last block stay
        if not least <= low <= high <= blocks:
            raise BadInput(f"layers.decoder must lie in [{least}, {blocks}]: the model has {blocks} decoder blocks; got [{low}, {high}]")
    for group in section.sparsity.groups if section.sparsity is not None else ():
        if group not in inventory.groups:
            raise BadInput(f"sparsity.groups must be groups of this model ({', '.join(inventory.groups)}), got {group}")


def check_budgets(spec: StudySpec, space: SearchSpace, workshop: Workshop, evaluator: Evaluator) -> None:
    """Raises BadInput if the smallest model of the space, all axes at their lowest, misses a budget on size, latency or energy.

    Its bytes are foretold; it is built only where latency or energy are limited. For those the lower end of the interval counts, so that
    noise refuses nothing.
    """
    limits = {budget.measure: budget for budget in spec.budget_list}
    if "size_bytes" in limits:
        _check_size(limits["size_bytes"], space.smallest(), workshop)
    if "latency_ms@cpu" in limits:
        _check_latency(limits["latency_ms@cpu"], space.smallest(), workshop, evaluator)
    if "energy_mj@cpu" in limits:
        _check_energy(limits["energy_mj@cpu"], space.smallest(), workshop, evaluator)


def _check_size(budget: Budget, smallest: Configuration, workshop: Workshop) -> None:
    size_bytes = workshop.foretell(smallest).size_bytes
    if size_bytes > budget.limit:
        raise BadInput(f"{budget} cannot be reached: with every axis at its lowest the bundle has {size_bytes / 1e6:.3f} MB")


def _check_latency(budget: Budget, smallest: Configuration, workshop: Workshop, evaluator: Evaluator) -> None:
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
