"""What a study asks for and can never get, found before anything is searched."""

from paredown.errors import BadInput
from paredown.profilers.size import measure_size
from paredown.search.spec import SpaceSection, StudySpec
from paredown.space.axes.base import SearchSpace
from paredown.space.inventory import Inventory
from paredown.trials.evaluation import Evaluator
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
    """Raises BadInput if the smallest model of the space, all axes at their lowest, misses a budget on size or latency.

    It is built once. For latency the lower end of the interval counts, so that noise refuses nothing.
    """
    limits = {budget.measure: budget for budget in spec.budget_list if budget.measure != "quality"}
    if not limits.keys() & {"size_bytes", "latency_ms@cpu"}:
        return
    smallest = space.smallest()
    bundle = workshop.build(smallest)
    try:
        size = limits.get("size_bytes")
        if size is not None and measure_size(bundle).size_bytes > size.limit:
            reached = measure_size(bundle).size_bytes / 1e6
            raise BadInput(f"{size} cannot be reached: with every axis at its lowest the bundle has {reached:.3f} MB")
        latency = limits.get("latency_ms@cpu")
        if latency is not None:
            reference = evaluator.reference
            timing = evaluator.time(bundle, reference.bundle).free
            if timing.ratio_ci95[0] * reference.latency_ms > latency.limit:
                reached = timing.ratio * reference.latency_ms
                raise BadInput(f"{latency} cannot be reached: with every axis at its lowest an utterance takes {reached:.1f} ms")
    finally:
        workshop.discard(smallest)
