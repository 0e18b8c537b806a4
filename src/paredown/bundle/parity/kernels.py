"""The graphs of a bundle with the kernels that it has, against torch: layer by layer, and each from end to end on its own.

Imports torch: to be imported where a check is made.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from paredown.bundle.parity.follow import Follower, ParityError
from paredown.bundle.parity.gate import NOISE_LIMIT, Followed
from paredown.bundle.parity.run import OpenParts, Step, open_parts, products_of, script
from paredown.bundle.plan import FOLDED_INTO
from paredown.bundle.storage import BundleParts
from paredown.compress.compress import CompressedModel
from paredown.compress.tensors import Quantized
from paredown.models.cached_decoder import CachedDecoder, call_linear

if TYPE_CHECKING:
    from paredown.models.network import Network

_FLOOR = 1e-5  # of layers whose rounding hardly shows
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


class Torch:
    """The torch network of a compressed model, and its decoder step by step."""

    def __init__(self, network: "Network") -> None:
        self.network = network
        self._decoder = CachedDecoder(network.decoder, call_linear)

    @torch.no_grad()
    def encode(self, features: Floats) -> Floats:
        """The encoder's states [S, width]; the decoder listens to them from now on."""
        states, _ = self.network.encode(torch.from_numpy(features)[None], torch.tensor([len(features)]))
        self._decoder.listen(states[0])
        self._decoder.start()
        encoded: Floats = states[0].numpy()
        return encoded

    @torch.no_grad()
    def spell(self, states: Floats) -> Floats:
        """The CTC's log posteriors [S, tokens]."""
        assert self.network.output_ctc is not None
        spelled: Floats = self.network.output_ctc.log_softmax(torch.from_numpy(states)[None])[0].numpy()
        return spelled

    @torch.no_grad()
    def decode(self, step: Step) -> Floats:
        """Log posteriors [beams, tokens] of one step."""
        stepped: Floats = self._decoder.step(torch.from_numpy(step.tokens), step.position, torch.from_numpy(step.order)).numpy()
        return stepped


def check_kernels(network: "Network", parts: BundleParts, compressed: CompressedModel, examples: Sequence[Floats], tokens: Ids) -> Followed:
    """Compare the graphs of `parts` with torch on features [frames, mels] and `tokens` [beams, steps].

    Raises ParityError where they part, naming the layer. The network's layers are replaced: it serves no other end afterwards.
    """
    products = products_of(parts)
    follower = Follower.of(chain.from_iterable(products.values()), compressed.tensors, compressed.ranges)
    follower.half_elsewhere = any(_is_rounded(parts, path) for path in parts.kernels)
    _check_complete(parts, follower)
    follower.attach(network, compressed.keep)
    torch_side = Torch(network)
    opened = open_parts(parts, products)
    for features in examples:
        found = opened.encode(features)
        follower.read(opened.graphs["encoder"].values)
        states = torch_side.encode(features)
        follower.compare(states, found, "encoder's states")
        if "ctc" in opened.graphs:
            follower.read(opened.graphs["ctc"].values)
            follower.compare(torch_side.spell(states), opened.log_probs("ctc"), "CTC's log posteriors")
        for step in script(tokens):
            found = opened.decode(step)
            follower.read(opened.graphs["decoder"].values)
            follower.compare(torch_side.decode(step), found, "decoder's log posteriors")
    comparable = not follower.half and (follower.rounds or not follower.half_elsewhere)
    noise = None if not comparable else _compare_noise(torch_side, follower, parts, examples[0], tokens)
    return Followed(len(follower.seen), follower.input_share, follower.product_share, noise)


def _is_rounded(parts: BundleParts, path: str) -> bool:
    """Whether a layer is computed in half precision, or was rounded to it once more when a batch norm had been folded into it."""
    tensor = parts.tensors.get(f"{path}.weight")
    if tensor is None or parts.kernels[path] == "fp16":
        return tensor is not None
    return not isinstance(tensor, Quantized) and tensor.dtype == np.float16 and path.endswith(FOLDED_INTO)


def _check_complete(parts: BundleParts, follower: Follower) -> None:
    """Every layer of a kernel that rounds must be multiplied somewhere; embeddings are looked up."""
    for path, kernel in parts.kernels.items():
        multiplied = f"{path}.weight" in parts.tensors and path != "decoder.embed.0"
        if kernel in ("int8", "nbits") and multiplied and path not in follower.products:
            raise ParityError(f"it begins in {path}, for which the graphs have no product of kernel {kernel}")
        if multiplied and kernel == "int8" and follower.products[path].static != (path in follower.ranges):
            raise ParityError(f"it begins in {path}, whose activations must be {'static' if path in follower.ranges else 'dynamic'}")


def _compare_noise(side: Torch, follower: Follower, parts: BundleParts, features: Floats, tokens: Ids) -> float:
    """The larger of two ratios, of states and of log posteriors: graphs to rounding torch, by rounding torch to torch (root mean squares).

    The graphs are those that the bundle gets, not copies that show their products. Raises ParityError beyond `NOISE_LIMIT`.
    """
    found = _run(open_parts(parts), features, tokens)
    follower.mode = "round"
    rounded = _run(side, features, tokens)
    follower.mode = "rest"
    plain = _run(side, features, tokens)
    follower.mode = "follow"
    ratios = []
    for what in plain:
        apart, noise = (float(np.sqrt(np.mean(np.square(one[what] - rounded[what])))) for one in (found, plain))
        ratios.append(apart / (noise + _FLOOR))
        if not ratios[-1] <= NOISE_LIMIT:
            raise ParityError(f"each layer does, but from end to end {what} are off by {ratios[-1]:.1f} times what that rounding does")
    return max(ratios)


def _run(side: "Torch | OpenParts", features: Floats, tokens: Ids) -> dict[str, Floats]:
    """Everything that one side computes of an utterance."""
    states = side.encode(features)
    return {"states": states, "log posteriors": np.stack([side.decode(step) for step in script(tokens)])}
