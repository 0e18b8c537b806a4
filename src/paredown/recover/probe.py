"""What a network computes on a probe, and how far another network's outputs are from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from paredown.models.network import Network

FRAMES = (240, 176)
TOKENS = 12


@dataclass(frozen=True, eq=False)
class Probe:
    """Normalised features [utterances, frames, mels], their lengths, and decoder inputs [utterances, length], none of them padded."""

    features: Tensor
    frames: Tensor
    tokens: Tensor
    token_lengths: Tensor


@dataclass(frozen=True, eq=False)
class Outputs:
    """Log-probabilities in float32 by part: "decoder" [positions, tokens], "ctc" and "st_ctc" [steps, tokens], padding left out."""

    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Gap:
    """How far outputs are from those of a reference: the largest |difference| of a log-probability, the mean divergence
    KL(reference || other) of the decoder in nats a position, and the share of positions with the same most likely token."""

    largest: float
    divergence: float
    agreement: float


def make_probe(network: Network, seed: int = 0) -> Probe:
    """Two utterances of noise with random tokens; enough to prove that outputs are equal, not to judge how much differing ones matter."""
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    features = torch.randn(len(FRAMES), max(FRAMES), network.frontend.settings.n_mels, generator=generator)
    vocabulary = network.decoder.embed[0].num_embeddings
    tokens = torch.randint(0, vocabulary, (len(FRAMES), TOKENS), generator=generator)
    lengths = torch.full((len(FRAMES),), TOKENS)
    return Probe(features.to(device), torch.tensor(FRAMES).to(device), tokens.to(device), lengths.to(device))


@torch.no_grad()
def compute_outputs(network: Network, probe: Probe) -> Outputs:
    """The network's outputs in evaluation, float32; the network is left in the modes that its modules had."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        states, steps = network.encode(probe.features, probe.frames)
        logits, _ = network.decoder(states, steps, probe.tokens, probe.token_lengths)
        parts = {"decoder": _packed(logits, probe.token_lengths)}
        for name in ("ctc", "st_ctc"):
            head = getattr(network, name)
            if head is not None:
                parts[name] = _packed(head.ctc_lo(states), steps)
    finally:
        for module, training in modes.items():
            module.training = training
    return Outputs(parts)


def measure_gap(reference: Outputs, other: Outputs) -> Gap:
    """The gap of `other` from `reference`, of the same probe."""
    largest = max(float((part - other.parts[name]).abs().max()) for name, part in reference.parts.items())
    one, two = reference.parts["decoder"].double(), other.parts["decoder"].double()
    divergence = float((one.exp() * (one - two)).sum(dim=-1).mean())
    return Gap(largest, max(0.0, divergence), float((one.argmax(-1) == two.argmax(-1)).double().mean()))


def _packed(logits: Tensor, lengths: Tensor) -> Tensor:
    """[utterances, positions, tokens] and lengths -> log-probabilities [all positions, tokens]."""
    inside = torch.arange(logits.size(1), device=logits.device) < lengths[:, None].to(logits.device)
    return logits.float().log_softmax(dim=-1)[inside]
