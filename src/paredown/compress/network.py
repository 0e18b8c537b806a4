"""Between torch networks and compressed weights. (Torch is only here and where calibration runs the network.)"""

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from paredown.compress.calibration import Calibration
from paredown.compress.compress import CompressedModel, Memo, compress
from paredown.compress.tensors import Array, Quantized, Tensor
from paredown.models.groups import group_parameters
from paredown.space.configuration import Configuration

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.network import Network


def state_of(model: "Model") -> dict[str, Array]:
    """The parameters and buffers of the model's network, by ESPnet name; float32 arrays that share its memory."""
    state = model.network.state_dict()
    return {name: value.detach().cpu().numpy() for name, value in state.items() if value.dtype == torch.float32}


def compress_model(
    model: "Model", configuration: Configuration, memo: Memo | None = None, calibration: Calibration | None = None
) -> CompressedModel:
    """The weights that this configuration leaves of the model; arguments and errors as in `compress`.

    Sparsity ranks the weights of a group's layers and norms, as torch's pruning of `weight` does; biases stay.
    """
    return compress(state_of(model), model.inventory(), ranked_parameters(model), configuration, memo, calibration)


def ranked_parameters(model: "Model") -> dict[str, tuple[str, ...]]:
    """Names of the parameters of every group that sparsity ranks, in network order."""
    return {group: tuple(name for name in names if name.endswith(".weight")) for group, names in group_parameters(model.network).items()}


def dense_network(model: "Model", compressed: CompressedModel) -> "Network":
    """A copy of the model's network that computes what the compressed model does: blocks removed, weights as float32.

    Parameters that inference does not need stay as they are. Block indices of the copy are new: 0, 1, … over the kept blocks.
    """
    network = copy.deepcopy(model.network)
    parameters = network.state_dict()
    with torch.no_grad():
        for name, tensor in compressed.tensors.items():
            dense = _dense(tensor)
            parameters[name].copy_(
                torch.from_numpy(np.ascontiguousarray(dense).reshape(dense.shape))
            )  # NumPy makes a scalar [1] contiguous
    for stack, blocks in (("encoder", network.encoder.encoders), ("decoder", network.decoder.decoders)):
        for index in reversed(range(len(blocks))):
            if index not in compressed.keep[stack]:
                del blocks[index]
    return network.eval()


def _dense(tensor: Tensor) -> Array:
    return tensor.dequantize() if isinstance(tensor, Quantized) else tensor
