"""What torch writes for a model: why the paper's pruned files are larger than its unpruned one."""

import io
from typing import TYPE_CHECKING, Any

import torch

from paredown.compress.network import compress_model, dense_network, ranked_parameters
from paredown.models import Model
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 2**20
# A survivor of a matrix in torch's sparse form: two indices of 8 bytes and a number of 4, where a dense weight takes the number alone.
SPARSE_BYTES, DENSE_BYTES = 20, 4


def saved_mib(state: "Mapping[str, Any]") -> float:
    """Of the file that torch.save writes."""
    file = io.BytesIO()
    torch.save(dict(state), file)
    return file.tell() / MIB


def saved_sparse_mib(model: Model, configuration: Configuration) -> float:
    """Of the pruned network with every matrix that is ranked in torch's sparse form (COO), the rest as it is."""
    network = dense_network(model, compress_model(model, configuration))
    ranked = {name for names in ranked_parameters(model).values() for name in names}
    state = network.state_dict()
    return saved_mib({name: value.to_sparse() if name in ranked and value.ndim == 2 else value for name, value in state.items()})


def saved_masked_mib(model: Model) -> float:
    """Of the network with `torch.nn.utils.prune`'s buffers: every ranked weight beside its mask, at any sparsity."""
    ranked = {name for names in ranked_parameters(model).values() for name in names}
    state = model.network.state_dict()
    masks = {f"{name}_mask": torch.ones_like(value) for name, value in state.items() if name in ranked}
    return saved_mib(state | masks)


def fit_sparse(sizes_mib: "Mapping[float, float]") -> tuple[float, float]:
    """Weights (millions) that are stored sparse, and MiB of the rest, of a file that shrinks by so much with sparsity: a straight line."""
    count = len(sizes_mib)
    mean_left = sum(1.0 - share for share in sizes_mib) / count
    mean_size = sum(sizes_mib.values()) / count
    spread = sum((1.0 - share - mean_left) ** 2 for share in sizes_mib)
    slope = sum((1.0 - share - mean_left) * (size - mean_size) for share, size in sizes_mib.items()) / spread
    return slope * MIB / SPARSE_BYTES / 1e6, mean_size - slope * mean_left
