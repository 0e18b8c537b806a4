"""How sensitive the model is to the bit-width of every layer: the Kullback-Leibler divergence that quantizing it alone causes.

Eq. 7 of the lossless 4-bit Conformer paper, in two readings (`Measure`):

- "posteriors", the default: at the posteriors of the decoder, teacher-forced on the uncompressed model's own hypotheses, and of every
  CTC the model has. D(layer, width) is

      mean over decoder positions of KL(P || Q)  +  for every CTC head, mean over its frames of KL(P || Q)

- "encoder_output", as printed: at the encoder's output, made a distribution over its channels by a softmax; mean over frames. What lies
  behind the encoder cannot change that, so decoder and CTC layers have a divergence of zero.

P is the uncompressed model's distribution, Q that of the one with this layer alone quantized to this width; positions and frames of all
utterances count alike. Sums are in float64, from float32 logits. With `around` Q has all other layers quantized too: the table
around an allocation, in which every layer's own width gives the divergence of the allocation itself.

At 8 bits a divergence can be so small that float32's rounding in the logits shows in its third digit. So that a table is nevertheless
exactly what one pass after the other would give, variants share a pass only where that changes no bit of it (`_Reference`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paredown.analysis.allocation_kl import Granularity, check_layers, quantized, quantized_weight
from paredown.analysis.posteriors import ctc_heads, plain_pass
from paredown.analysis.result import WIDTHS
from paredown.analysis.spread import spread
from paredown.analysis.stages import Sample, Trace, decode_from, embed_features, encode_from, place_of, shared_copy, trace
from paredown.analysis.suffix import (
    changed_ctc_logits,
    changed_decoder_logits,
    ctc_logits,
    decoder_logits,
    encoded,
    repeated,
)
from paredown.analysis.variants import Variants
from paredown.models.network import Network

Measure = Literal["posteriors", "encoder_output"]


def measure_kl(
    network: Network,
    layers: Sequence[str],
    samples: Sequence[Sample],
    sos: int,
    *,
    widths: Sequence[int] = WIDTHS,
    granularity: Granularity = "channel",
    measure: Measure = "posteriors",
    around: Mapping[str, int] | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
    unit: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> NDArray[np.float64]:
    """The divergence of every layer at every width, [layers, widths]; lower is better, 0 is no change at all.

    `layers` are ESPnet paths, `sos` is the token the decoder starts from, `around` the width of other layers. Layers are spread over
    `threads`, each running one thread of torch; the result does not depend on their number. `progress(done, total)` counts layers; each
    of them, and each utterance before them, is computed inside a `unit()`. Raises ValueError if there is no utterance,
    or if a path is no layer of encoder, decoder or CTC.
    """
    if not samples:
        raise ValueError("sensitivity needs at least one utterance, got none")
    check_layers(network, [*layers, *(around or {})])
    base = quantized(network, around or {}, granularity)

    def refer(plain: Network, sample: Sample) -> _Reference:
        own = shared_copy(base) if around else plain  # a pass leaves its attention in the modules: no thread may share them
        return _reference(plain, own, sample, sos, len(widths), measure)

    references = spread(network, samples, refer, threads=threads, unit=unit)

    def run(own: Network, path: str) -> NDArray[np.float64]:
        weights = [quantized_weight(network, path, bits, granularity) for bits in widths]
        return _divergences(own, path, weights, references, measure)

    table = spread(base, layers, run, threads=threads, progress=progress, unit=unit)
    return np.array(table).reshape(len(layers), len(widths))


@dataclass(frozen=True)
class _Reference:
    """One utterance: states of the network around which is measured, and log distributions [positions, tokens] of the uncompressed one.

    `base`: divergence of each head of that network itself, summed over positions: what stays where a layer cannot change the head.
    `encodes_alike` and `decodes_alike`: whether a batch of copies gives, bit by bit, what one alone gives. Matrix products of very short
    sequences take another path in a batch, and round differently.
    """

    states: Trace
    log_p: Mapping[str, Tensor]
    base: Mapping[str, float]
    encodes_alike: bool
    decodes_alike: bool


def _reference(plain: Network, base: Network, sample: Sample, sos: int, variants: int, measure: Measure) -> _Reference:
    found, states = plain_pass(plain, sample, sos), trace(base, sample, sos)
    memory = encode_from(base, 0, repeated(embed_features(base, states.features), variants))
    heard = {name: (head.ctc_lo(memory), head.ctc_lo(states.memory)) for name, head in ctc_heads(base).items()}
    encodes_alike = all(torch.equal(batch, one.expand_as(batch)) for batch, one in [(memory, states.memory), *heard.values()])
    if measure == "encoder_output":
        log_p = {"encoder": torch.log_softmax(found.states.memory[0].double(), dim=-1)}
        return _Reference(states, log_p, _own(log_p, {"encoder": states.memory}), encodes_alike, decodes_alike=True)
    one = decode_from(base, len(base.decoder.decoders), states.decoder_states[-1], states.memory)
    batch = decode_from(base, 0, states.decoder_states[0].repeat(variants, 1, 1), states.memory.repeat(variants, 1, 1))
    own = _own(found.log_posteriors, {"decoder": one} | {name: alone for name, (_, alone) in heard.items()})
    return _Reference(states, found.log_posteriors, own, encodes_alike, torch.equal(batch, one.expand_as(batch)))


def _own(log_p: Mapping[str, Tensor], logits: Mapping[str, Tensor]) -> dict[str, float]:
    return {head: float(_divergence(value, logits[head])[0]) for head, value in log_p.items()}


def _divergences(
    network: Network, path: str, weights: Sequence[Tensor], references: Sequence[_Reference], measure: Measure
) -> NDArray[np.float64]:
    """One row of the table."""
    sums: dict[str, NDArray[np.float64]] = {head: np.zeros(len(weights)) for head in references[0].log_p}
    with Variants(network.get_submodule(path), weights) as layer:
        for reference in references:
            changed = _LOGITS[measure](network, path, layer, reference)
            for head, log_p in reference.log_p.items():
                sums[head] += _divergence(log_p, changed[head]) if head in changed else reference.base[head]
    positions = {head: sum(len(reference.log_p[head]) for reference in references) for head in sums}
    summed: NDArray[np.float64] = np.sum([total / positions[head] for head, total in sums.items()], axis=0)
    return np.maximum(summed, 0.0)  # a divergence is never negative; rounding can leave -1e-17 where nothing changed


def _divergence(log_p: Tensor, logits: Tensor) -> NDArray[np.float64]:
    """KL(P || Q) summed over positions: log P [positions, tokens], logits of Q [variants, positions, tokens] -> [variants]."""
    log_q = torch.log_softmax(logits.double(), dim=-1)
    divergence: NDArray[np.float64] = (log_p.exp() * (log_p - log_q)).sum(dim=(1, 2)).numpy()
    return divergence


def _posterior_logits(network: Network, path: str, layer: Variants, reference: _Reference) -> dict[str, Tensor]:
    """Logits of every head that the layer can change, [variants, positions, tokens]."""
    states, alike, part = reference.states, reference.encodes_alike, place_of(network, path)[0]
    if part in ("ctc", "st_ctc"):
        return {part: changed_ctc_logits(network, path, layer, states, side_by_side=alike)}
    if part == "decoder":
        return {"decoder": changed_decoder_logits(network, path, layer, states, side_by_side=reference.decodes_alike)}
    memory = encoded(network, path, layer, states, side_by_side=alike)
    decoded = decoder_logits(network, memory, states, side_by_side=reference.decodes_alike)
    return {"decoder": decoded} | ctc_logits(network, memory, side_by_side=alike)


def _encoder_logits(network: Network, path: str, layer: Variants, reference: _Reference) -> dict[str, Tensor]:
    """The encoder's output, whose channels take the place of tokens, where the layer can change it."""
    if place_of(network, path)[0] != "encoder":
        return {}
    return {"encoder": encoded(network, path, layer, reference.states, side_by_side=reference.encodes_alike)}


_LOGITS = {"posteriors": _posterior_logits, "encoder_output": _encoder_logits}
