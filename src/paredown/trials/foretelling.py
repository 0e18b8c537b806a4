"""Sizes of configurations that are not built, in the terms in which those of bundles on disk are told."""

from paredown.profilers.size import Breakdown, BundleSize
from paredown.space.configuration import Configuration
from paredown.trials.workshop import Workshop


def foretell_breakdown(workshop: Workshop, configuration: Configuration) -> Breakdown:
    """What `measure_breakdown` would say of the configuration's bundle, exactly. Raises BadInput as `Workshop.build`."""
    foretold = workshop.foretell(configuration)
    parameters = {"stored": foretold.stored_parameters, "model": foretold.model_parameters}
    return Breakdown.of(BundleSize(foretold.files), [record.to_json() for record in foretold.records], parameters)
