"""Between torch networks and compressed weights. (Of this folder only `reshape` and what runs the network to calibrate know torch too.)"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from paredown.compress.calibration import Calibration
from paredown.compress.compress import CompressedModel, compress
from paredown.compress.memo import Memo
from paredown.compress.narrow import pad
from paredown.compress.recovered import Recovered
from paredown.compress.reshape import bias_names, reshape_network
from paredown.compress.tensors import Array, Quantized, Tensor
from paredown.models.groups import group_parameters
from paredown.space.configuration import Configuration
from paredown.space.inventory import block_of
from paredown.space.reduced import reduce_inventory

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.network import Network


def state_of(model: "Model") -> dict[str, Array]:
    """The parameters and buffers of the model's network, by ESPnet name; float32 arrays that share its memory."""
    state = model.network.state_dict()
    return {name: value.detach().cpu().numpy() for name, value in state.items() if value.dtype == torch.float32}


def compress_model(
    model: "Model",
    configuration: Configuration,
    memo: Memo | None = None,
    calibration: Calibration | None = None,
    recovered: Recovered | None = None,
) -> CompressedModel:
    """The weights that this configuration leaves of the model; arguments and errors as in `compress`.

    Sparsity ranks the weights of a group's layers and norms, as torch's pruning of `weight` does; biases stay.
    """
    stored_order = in_stored_order(model, configuration)
    groups = ranked_parameters(model)
    return compress(state_of(model), model.inventory(), groups, configuration, memo, calibration, stored_order, recovered)


def in_stored_order(model: "Model", configuration: Configuration) -> bool:
    """Whether hidden units stand in the order of their importance: those of a supernet do."""
    return configuration.supernet is not None or bool(getattr(model, "is_supernet", False))


def ranked_parameters(model: "Model") -> dict[str, tuple[str, ...]]:
    """Names of the parameters of every group that sparsity ranks, in network order."""
    return {group: tuple(name for name in names if name.endswith(".weight")) for group, names in group_parameters(model.network).items()}


def dense_network(model: "Model", compressed: CompressedModel) -> "Network":
    """A copy of the model's network that computes what the compressed model does: its shapes, weights as float32.

    Parameters that inference does not need stay as they are. Block indices of the copy are new: 0, 1, … over the kept blocks.
    """
    network = copy.deepcopy(model.network)
    reduced = reduce_inventory(model.inventory(), compressed.configuration)
    reshape_network(network, reduced)
    names = bias_names(reduced)
    _fill(network, {names.get(name, name): _dense(tensor) for name, tensor in compressed.tensors.items()})
    return _drop_blocks(network, compressed)


def names_in_network(model: "Model", compressed: CompressedModel) -> dict[str, str]:
    """Of every parameter of the compressed model the name in its `dense_network`, whose blocks are counted anew."""
    names = bias_names(reduce_inventory(model.inventory(), compressed.configuration))
    return {name: _renumbered(names.get(name, name), compressed.keep) for name in compressed.tensors}


def _renumbered(name: str, keep: Mapping[str, tuple[int, ...]]) -> str:
    block = block_of(name)
    if block is None:
        return name
    stack, index = block
    head, tail = f"{stack}.{stack}s.", name.split(".", 3)[3]
    return f"{head}{keep[stack].index(index)}.{tail}"


def padded_network(model: "Model", compressed: CompressedModel) -> "Network":
    """The same in the shapes of the model, dropped blocks alone excepted: units and heads that are gone have weights of zero, and factors
    are multiplied. What it computes is equal but for the rounding of float32.
    """
    network = copy.deepcopy(model.network)
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    _fill(network, pad({name: _dense(tensor) for name, tensor in compressed.tensors.items()}, compressed.cuts, shapes))
    return _drop_blocks(network, compressed)


@torch.no_grad()
def _fill(network: "Network", arrays: Mapping[str, Array]) -> None:
    parameters = network.state_dict()
    for name, array in arrays.items():  # NumPy makes a scalar [1] contiguous
        parameters[name].copy_(torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape)))


def _drop_blocks(network: "Network", compressed: CompressedModel) -> "Network":
    for stack, blocks in (("encoder", network.encoder.encoders), ("decoder", network.decoder.decoders)):
        for index in reversed(range(len(blocks))):
            if index not in compressed.keep[stack]:
                del blocks[index]
    return network.eval()


def _dense(tensor: Tensor) -> Array:
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor
