"""How sensitive the model is to the bit-width of every layer: the Kullback-Leibler divergence that quantizing it alone causes.

Eq. 7 of the lossless 4-bit Conformer paper, measured at the posteriors instead of the encoder's output: those of the decoder,
teacher-forced on the uncompressed model's own hypotheses, and of every CTC the model has. D(layer, width) is

    mean over decoder positions of KL(P || Q)  +  for every CTC head, mean over its frames of KL(P || Q)

P the uncompressed model's posterior, Q the one with this layer alone quantized to this width; positions and frames of all utterances
count alike. Sums are in float64, from float32 logits.

At 8 bits a divergence can be so small that float32's rounding in the logits shows in its third digit. So that a table is nevertheless
exactly what one pass after the other would give, variants share a pass only where that changes no bit of it (`_Reference`).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paredown.analysis.result import WIDTHS
from paredown.analysis.stages import EncoderState, Sample, Trace, decode_from, embed_features, encode_from, place_of, shared_copy, trace
from paredown.analysis.variants import Variants
from paredown.compress.quantize import quantize
from paredown.models.network import Network

Granularity = Literal["channel", "tensor"]
# Parts of an encoder block that only add to what runs through it, so that one row may enter the block and become many at the layer.
# Attention and the two branches of an e_branchformer join several inputs, which must have equally many rows.
_SPLITS_BY_ITSELF = ("feed_forward", "feed_forward_macaron", "conv_module", "merge_proj")


def measure_kl(
    network: Network,
    layers: Sequence[str],
    samples: Sequence[Sample],
    sos: int,
    *,
    widths: Sequence[int] = WIDTHS,
    granularity: Granularity = "channel",
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NDArray[np.float64]:
    """The divergence of every layer at every width, [layers, widths]; lower is better, 0 is no change at all.

    `layers` are ESPnet paths, `sos` is the token the decoder starts from. Layers are spread over `threads`, each running one thread of
    torch; the result does not depend on their number. `progress(done, total)` counts layers; each of them, and each
    utterance before them, is computed inside a `unit()`. Raises ValueError if there is no utterance,
    or if a path is no layer of encoder, decoder or CTC.
    """
    if not samples:
        raise ValueError("sensitivity needs at least one utterance, got none")
    _check_layers(network, layers)
    table = np.zeros((len(layers), len(widths)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        plain = shared_copy(network)
        references = []
        for sample in samples:
            with unit():
                references.append(_reference(plain, sample, sos, len(widths)))
        idle: SimpleQueue[Network] = SimpleQueue()
        for _ in range(threads):
            idle.put(shared_copy(network))

        def run(path: str) -> NDArray[np.float64]:
            own = idle.get()
            try:
                with unit():
                    return _divergences(own, path, references, widths, granularity)
            finally:
                idle.put(own)

        pool = ThreadPoolExecutor(threads)
        try:
            rows = {pool.submit(run, path): row for row, path in enumerate(layers)}
            for done, future in enumerate(as_completed(rows), 1):
                table[rows[future]] = future.result()
                if progress is not None:
                    progress(done, len(layers))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C nothing more is begun
    finally:
        torch.set_num_threads(before)
    return table


def _check_layers(network: Network, layers: Sequence[str]) -> None:
    modules = dict(network.named_modules())
    for path in layers:
        if not isinstance(getattr(modules.get(path), "weight", None), Tensor):
            raise ValueError(f"layers must be paths of weights in the network, got {path!r}")
        place_of(network, path)


@dataclass(frozen=True)
class _Reference:
    """The uncompressed pass over one utterance: its states, and log posteriors [positions, tokens] of every head, float64.

    `encodes_alike` and `decodes_alike`: whether a batch of copies gives, bit by bit, what one alone gives. Matrix products of very short
    sequences take another path in a batch, and round differently.
    """

    trace: Trace
    log_posteriors: Mapping[str, Tensor]
    encodes_alike: bool
    decodes_alike: bool


@torch.inference_mode()
def _reference(network: Network, sample: Sample, sos: int, variants: int) -> _Reference:
    states = trace(network, sample, sos)
    logits = {"decoder": decode_from(network, len(network.decoder.decoders), states.decoder_states[-1], states.memory)}
    logits |= _ctc_logits(network, states.memory)
    memory = states.memory.repeat(variants, 1, 1)
    encoded = encode_from(network, 0, _repeated(embed_features(network, states.features), variants))
    decoded = decode_from(network, 0, states.decoder_states[0].repeat(variants, 1, 1), memory)
    heard = _ctc_logits(network, encoded)
    return _Reference(
        states,
        {head: torch.log_softmax(value[0].double(), dim=-1) for head, value in logits.items()},
        all(
            torch.equal(batch, alone.expand_as(batch))
            for batch, alone in [(encoded, states.memory), *((heard[h], logits[h]) for h in heard)]
        ),
        torch.equal(decoded, logits["decoder"].expand_as(decoded)),
    )


@torch.inference_mode()
def _divergences(
    network: Network, path: str, references: Sequence[_Reference], widths: Sequence[int], granularity: Granularity
) -> NDArray[np.float64]:
    """One row of the table."""
    module = network.get_submodule(path)
    own = network.get_parameter(f"{path}.weight")
    values = own.detach().float().numpy()
    weights = [torch.from_numpy(quantize(values, bits, granularity).dequantize()).to(own.dtype) for bits in widths]
    sums: dict[str, NDArray[np.float64]] = {}
    positions: dict[str, int] = {}
    with Variants(module, weights) as layer:
        for reference in references:
            for head, logits in _logits(network, path, layer, reference).items():
                log_p = reference.log_posteriors[head]
                sums[head] = sums.get(head, np.zeros(len(weights))) + _divergence(log_p, logits)
                positions[head] = positions.get(head, 0) + len(log_p)
    summed: NDArray[np.float64] = np.sum([total / positions[head] for head, total in sums.items()], axis=0)
    return np.maximum(summed, 0.0)  # a divergence is never negative; rounding can leave -1e-17 where nothing changed


def _divergence(log_p: Tensor, logits: Tensor) -> NDArray[np.float64]:
    """KL(P || Q) summed over positions: log P [positions, tokens], logits of Q [variants, positions, tokens] -> [variants]."""
    log_q = torch.log_softmax(logits.double(), dim=-1)
    divergence: NDArray[np.float64] = (log_p.exp() * (log_p - log_q)).sum(dim=(1, 2)).numpy()
    return divergence


def _logits(network: Network, path: str, layer: Variants, reference: _Reference) -> dict[str, Tensor]:
    """Logits of every head that the layer can change, [variants, positions, tokens], from the last state in front of it."""
    states, (part, block) = reference.trace, place_of(network, path)
    if part in ("ctc", "st_ctc"):
        return {part: layer.run(reference.encodes_alike, lambda _: network.get_submodule(path)(states.memory))}
    if part == "decoder":
        return {"decoder": layer.run(reference.decodes_alike, lambda variants: _decoded(network, block, states, variants))}
    memory = layer.run(reference.encodes_alike, lambda variants: _encoded(network, path, block, states, variants))
    batches = [memory] if reference.decodes_alike else torch.split(memory, 1)
    decoded = [decode_from(network, 0, states.decoder_states[0].repeat(len(batch), 1, 1), batch) for batch in batches]
    heads = [_ctc_logits(network, batch) for batch in ([memory] if reference.encodes_alike else torch.split(memory, 1))]
    return {"decoder": torch.cat(decoded)} | {name: torch.cat([head[name] for head in heads]) for name in heads[0]}


def _decoded(network: Network, block: int | None, states: Trace, variants: int) -> Tensor:
    memory = states.memory.repeat(variants, 1, 1)
    if block is None:  # the embedding itself makes one row into many
        return decode_from(network, 0, network.decoder.embed(states.tokens), memory)
    return decode_from(network, block, states.decoder_states[block].repeat(variants, 1, 1), memory)


def _encoded(network: Network, path: str, block: int | None, states: Trace, variants: int) -> Tensor:
    if block is None:
        return encode_from(network, 0, embed_features(network, states.features))
    if path.split(".")[3] in _SPLITS_BY_ITSELF:
        return encode_from(network, block, states.encoder_states[block])
    state = _repeated(states.encoder_states[block], variants)
    if path.endswith(".linear_pos"):  # reads the positions alone, which all variants share otherwise
        state = (state[0], state[1].repeat(variants, 1, 1))
    return encode_from(network, block, state)


def _repeated(state: EncoderState, variants: int) -> EncoderState:
    if isinstance(state, tuple):
        return state[0].repeat(variants, 1, 1), state[1]
    return state.repeat(variants, 1, 1)


def _ctc_logits(network: Network, memory: Tensor) -> dict[str, Tensor]:
    heads = {"ctc": network.ctc, "st_ctc": network.st_ctc}
    return {name: head.ctc_lo(memory) for name, head in heads.items() if head is not None}
