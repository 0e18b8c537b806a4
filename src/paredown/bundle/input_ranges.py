"""Static ranges of activations as a bundle stores them: one tensor a graph, float32 [ranges, 2], a smallest and a largest number each.

Eight bytes a range, and one record in the manifest for all of them; their order is the graph's (`Graph.ranges`), so that neither graphs nor
sizes depend on what was calibrated.
"""

from collections.abc import Mapping

import numpy as np

from paredown.bundle.graphs.graph import Graph, ranges_name
from paredown.bundle.tensor_form import TensorForm
from paredown.compress.ranges import Range
from paredown.compress.tensors import Array
from paredown.errors import BadInput


def range_forms(graphs: Mapping[str, Graph]) -> dict[str, TensorForm]:
    """The forms of the tensors, by name; none for a graph without static ranges."""
    return {ranges_name(name): TensorForm((len(graph.ranges), 2)) for name, graph in graphs.items() if graph.ranges}


def range_tensors(graphs: Mapping[str, Graph], ranges: Mapping[str, Range]) -> dict[str, Array]:
    """The tensors by name, of the ranges by layer. Raises BadInput, naming the layer, for a range that is missing."""
    for graph in graphs.values():
        for path in graph.ranges:
            if path not in ranges:
                raise BadInput(f"static activations need a range of what every int8 layer reads, got none of {path}")
    rows = {name: [(ranges[path].low, ranges[path].high) for path in graph.ranges] for name, graph in graphs.items() if graph.ranges}
    return {ranges_name(name): np.array(pairs, np.float32) for name, pairs in rows.items()}
