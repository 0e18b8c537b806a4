"""How far a changed network's posteriors lie from the unchanged one's: decoder, teacher-forced, plus every CTC.

    mean over decoder positions of KL(P || Q)  +  for every CTC head, mean over its frames of KL(P || Q)

as in the KL table (`kl.py`): P of the unchanged network, positions and frames of all utterances count alike, sums in float64. Here a whole
part of the network changes (heads, a pruned group), so a pass starts at the first block of which something changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from paredown.analysis.stages import Sample, Trace, decode_from, embed_features, encode_from, place_of, trace
from paredown.models.espnet import CTC
from paredown.models.network import Network


@dataclass(frozen=True)
class Plain:
    """The unchanged pass over one utterance: its states, and log posteriors [positions, tokens] of every head, float64."""

    states: Trace
    log_posteriors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Start:
    """Where a pass over a changed network begins.

    `encoder` and `decoder`: the first block of the stack that is computed anew (-1: its embedding too, the number of blocks: only what
    stands behind them), None where the stack's states stay. `ctc`: heads whose own weights changed.
    """

    encoder: int | None
    decoder: int | None
    ctc: frozenset[str] = frozenset()

    @classmethod
    def of(cls, network: Network, names: Iterable[str]) -> "Start":
        """The latest start for a change of these parameters or layers, by ESPnet names."""
        first: dict[str, int] = {}
        blocks = {"encoder": len(network.encoder.encoders), "decoder": len(network.decoder.decoders)}
        for name in names:
            part, block = place_of(network, name.removesuffix(".weight").removesuffix(".bias"))
            if name.startswith(("encoder.after_norm", "decoder.after_norm")):
                block = blocks[part]
            first[part] = min(first.get(part, blocks.get(part, 0)), -1 if block is None else block)
        return cls(first.get("encoder"), first.get("decoder"), frozenset(first) & {"ctc", "st_ctc"})


def plain_pass(network: Network, sample: Sample, sos: int) -> Plain:
    """Every state and posterior of the unchanged network; run it without gradients."""
    states = trace(network, sample, sos)
    logits = {"decoder": decode_from(network, len(network.decoder.decoders), states.decoder_states[-1], states.memory)}
    logits |= {name: head.ctc_lo(states.memory) for name, head in ctc_heads(network).items()}
    return Plain(states, {name: torch.log_softmax(value[0].double(), dim=-1) for name, value in logits.items()})


def divergence(network: Network, references: Sequence[Plain], start: Start) -> float:
    """The divergence of the network as it is now; in nats, lower is better, 0 is no change. Raises ValueError without a reference."""
    return mean_divergence([shift(network, reference, start) for reference in references])


def shift(network: Network, reference: Plain, start: Start) -> dict[str, tuple[float, int]]:
    """Of one utterance, by head: the divergence summed over positions, and how many these are."""
    found = {}
    for name, logits in _changed_logits(network, reference.states, start).items():
        log_p = reference.log_posteriors[name]
        log_q = torch.log_softmax(logits[0].double(), dim=-1)
        found[name] = float((log_p.exp() * (log_p - log_q)).sum()), len(log_p)
    return found


def mean_divergence(shifts: Sequence[Mapping[str, tuple[float, int]]]) -> float:
    """The mean over the positions of all utterances, summed over heads, in their order. Raises ValueError without an utterance."""
    if not shifts:
        raise ValueError("a divergence needs at least one utterance, got none")
    means = [sum(each[name][0] for each in shifts) / sum(each[name][1] for each in shifts) for name in shifts[0]]
    return float(np.maximum(0.0, sum(means)))  # rounding can leave -1e-17 where nothing changed; NaN stays NaN


@contextmanager
def replaced(network: Network, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """While it is entered, parameters of this copy have these values; the tensors it shares with others stay untouched."""
    own = []
    for name, value in weights.items():
        path, _, attribute = name.rpartition(".")
        module = network.get_submodule(path)
        own.append((module, attribute, getattr(module, attribute)))
        setattr(module, attribute, torch.nn.Parameter(value, requires_grad=False))
    try:
        yield
    finally:
        for module, attribute, parameter in own:
            setattr(module, attribute, parameter)


def _changed_logits(network: Network, states: Trace, start: Start) -> dict[str, Tensor]:
    """Logits [1, positions, tokens] of every head that the change can reach."""
    memory, heads = states.memory, {name: head for name, head in ctc_heads(network).items() if name in start.ctc}
    if start.encoder is not None:
        entering = embed_features(network, states.features) if start.encoder < 0 else states.encoder_states[start.encoder]
        memory, heads = encode_from(network, max(0, start.encoder), entering), ctc_heads(network)
    logits = {name: head.ctc_lo(memory) for name, head in heads.items()}
    block = 0 if start.encoder is not None and start.decoder != -1 else start.decoder
    if block is not None:
        state = network.decoder.embed(states.tokens) if block < 0 else states.decoder_states[block]
        logits["decoder"] = decode_from(network, max(0, block), state, memory)
    return logits


def ctc_heads(network: Network) -> dict[str, CTC]:
    """Every CTC that the network has, by its name."""
    heads = {"ctc": network.ctc, "st_ctc": network.st_ctc}
    return {name: head for name, head in heads.items() if head is not None}
