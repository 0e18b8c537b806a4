"""The oracle of the KL table: the whole network anew for one layer, one width and one utterance at a time, by ESPnet's own code."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from paredown.analysis.stages import Sample
from paredown.compress.quantize import quantize
from paredown.models.network import Network


def posteriors(network: Network, sample: Sample, sos: int) -> list[Tensor]:
    """Log posteriors [positions, tokens] of decoder, CTC and translation CTC, float64."""
    features = torch.tensor(sample.features)[None]
    tokens = torch.tensor([[sos, *sample.tokens]])
    with torch.inference_mode():
        memory, steps = network.encode(features, torch.tensor([features.shape[1]]))
        logits = [network.decoder(memory, steps, tokens, torch.tensor([tokens.shape[1]]))[0]]
        logits += [head.ctc_lo(memory) for head in (network.ctc, network.st_ctc) if head is not None]
    return [torch.log_softmax(head[0].double(), dim=-1) for head in logits]


def direct_kl(network: Network, layers: Sequence[str], samples: Sequence[Sample], sos: int, widths: Sequence[int]) -> np.ndarray:
    """Mean divergence over decoder positions plus that over each CTC's frames, [layers, widths]; the network is left as it was."""
    plain = [posteriors(network, sample, sos) for sample in samples]
    table = np.zeros((len(layers), len(widths)))
    for row, path in enumerate(layers):
        weight = network.get_submodule(path).weight.data
        original = weight.clone()
        for column, bits in enumerate(widths):
            weight.copy_(torch.from_numpy(quantize(original.numpy(), bits).dequantize()))
            changed = [posteriors(network, sample, sos) for sample in samples]
            for head in range(len(plain[0])):
                terms = [(p[head].exp() * (p[head] - q[head])).sum(dim=-1) for p, q in zip(plain, changed, strict=True)]
                table[row, column] += torch.cat(terms).mean().item()
        weight.copy_(original)
    return table
