"""What every layer of a network is handed while it reads one utterance, and in which calls the runtime would hand it that (torch).

The decoder is teacher-forced on the model's own hypotheses, all of a beam: the best one alone has few tokens, and at run time every beam
is read. A step's call is all hypotheses at one position, which stand for the beams of that step: near to what the search would
hold there, and not quite it. The encoder is called once an utterance.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import unfold

from paredown.models.network import Network
from paredown.space.inventory import LayerInfo

EMBEDDING = "decoder.embed.0"
_Report = Callable[["LayerCall"], None]


@dataclass(frozen=True)
class Utterance:
    """Normalised features [frames, mels] float32, and token ids of the uncompressed model's own hypotheses, one or more."""

    features: NDArray[np.float32]
    hypotheses: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class LayerCall:
    """What a layer reads of one utterance: `rows` [rows, in]; `lows` and `highs` [rows]: the range of the call that each row is part of.

    `in` counts the weights of a channel in torch's order. An embedding reads ids; its rows are gradients of the loss at its output, and
    their ranges mean nothing. `source` is the very tensor that the layer was handed.
    """

    path: str
    source: Tensor
    rows: Tensor
    lows: Tensor
    highs: Tensor


def run_layers(
    network: Network, layers: Sequence[LayerInfo], utterance: Utterance, sos: int, generator: torch.Generator, report: _Report
) -> None:
    """One utterance through encoder, output CTC and decoder; `report` gets the call of each of these layers that is reached.

    The loss whose gradient the embedding reports is the surprise at a token that `generator` draws from the posterior of each position.
    """
    tokens, lengths = _pad(utterance.hypotheses, sos)
    valid = torch.arange(tokens.shape[1])[None] < lengths[:, None]
    features = torch.from_numpy(utterance.features)[None]

    def read(layer: LayerInfo, module: Any, source: Tensor) -> LayerCall:
        if layer.path.startswith("decoder.") and source is not heard:
            return _read_steps(layer, source, valid)
        return _read_whole(layer, module, source)

    leaves: list[Tensor] = []
    with ExitStack() as stack:
        for layer in layers:
            module = network.get_submodule(layer.path)
            watched = layer.kind != "embedding"
            hook = module.register_forward_pre_hook(_watch(layer, read, report)) if watched else module.register_forward_hook(_cut(leaves))
            stack.callback(hook.remove)
        with torch.no_grad():
            memory, steps = network.encode(features, torch.tensor([features.shape[1]]))
            if network.output_ctc is not None:
                network.output_ctc.ctc_lo(memory)
            heard = memory.expand(len(tokens), -1, -1)  # copies of one memory, of which the first is read
        with torch.set_grad_enabled(EMBEDDING in {layer.path for layer in layers}):
            logits = network.decoder(heard, steps.expand(len(tokens)), tokens, lengths)[0][valid]
            for leaf in leaves:
                gradients = _gradients(logits, leaf, generator)[valid]
                none = torch.zeros(len(gradients))
                report(LayerCall(EMBEDDING, leaf, gradients, none, none))


def _pad(hypotheses: Sequence[Sequence[int]], sos: int) -> tuple[Tensor, Tensor]:
    """What the decoder reads, `sos` in front: ids [hypotheses, positions] and their lengths; what stands behind an end is masked."""
    lengths = torch.tensor([1 + len(tokens) for tokens in hypotheses])
    padded = torch.full((len(lengths), int(lengths.max())), sos)
    for row, tokens in enumerate(hypotheses):
        padded[row, 1 : 1 + len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
    return padded, lengths


def _watch(layer: LayerInfo, read: Callable[[LayerInfo, Any, Tensor], LayerCall], report: _Report) -> Callable[[Any, Any], None]:
    def hook(module: Any, inputs: tuple[Tensor, ...]) -> None:
        report(read(layer, module, inputs[0]))

    return hook


def _cut(leaves: list[Tensor]) -> Callable[[Any, Any, Tensor], Tensor]:
    """Makes a module's output a leaf, at which the gradient ends."""

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    return hook


def _read_whole(layer: LayerInfo, module: Any, source: Tensor) -> LayerCall:
    """One call for the whole utterance: source [.., rows, in], [1, in, rows] or an image [1, channels, frames, bands]."""
    if layer.kind == "linear":
        rows = source[0]
    elif len(layer.shape) == 4:
        rows = unfold(source, module.kernel_size, stride=module.stride)[0].T
    else:
        rows = source[0].T
    return LayerCall(layer.path, source, rows, source.min().expand(len(rows)), source.max().expand(len(rows)))


def _read_steps(layer: LayerInfo, source: Tensor, valid: Tensor) -> LayerCall:
    """One call for every position: source [hypotheses, positions, in]."""
    numbers, outside = source.detach(), ~valid[..., None]
    positions = valid.nonzero()[:, 1]
    lows = numbers.masked_fill(outside, torch.inf).amin((0, 2))[positions]
    highs = numbers.masked_fill(outside, -torch.inf).amax((0, 2))[positions]
    return LayerCall(layer.path, source, numbers[valid], lows, highs)


def _gradients(logits: Tensor, leaf: Tensor, generator: torch.Generator) -> Tensor:
    """Of the summed surprise of drawn tokens: logits [rows, tokens] -> the shape of the leaf."""
    drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)
    surprise = -torch.log_softmax(logits, -1).gather(1, drawn).sum()
    return torch.autograd.grad(surprise, leaf)[0]
