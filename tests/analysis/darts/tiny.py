"""Tiny networks and utterances for the tests of architecture search."""

import numpy as np
import torch

from paredown.analysis.stages import Sample
from paredown.models.network import Network, build_network
from tests.models.checkpoints import asr_config, random_state, st_config

SOS = 7


def tiny_network(encoder: str = "conformer-latest", seed: int = 0) -> Network:
    """Two encoder and two decoder blocks of width 16 with feed-forwards of 24 units; posteriors with peaks."""
    config = asr_config() if encoder == "asr" else st_config(encoder)
    network = build_network(config).eval().requires_grad_(False)
    network.load_state_dict(random_state(config, seed))
    network.decoder.output_layer.weight.mul_(4)
    return network


def tiny_samples(lengths: tuple[tuple[int, int], ...] = ((131, 9), (97, 3), (120, 5))) -> list[Sample]:
    """(frames, tokens) of each utterance."""
    rng = np.random.default_rng(0)
    return [
        Sample(rng.standard_normal((frames, 20), dtype=np.float32), tuple(rng.integers(1, 7, count).tolist())) for frames, count in lengths
    ]


def random_weights(candidates: int, seed: int, rows: int | None = None) -> torch.Tensor:
    """Architecture weights: not negative, 1 together."""
    generator = torch.Generator().manual_seed(seed)
    shape = (candidates,) if rows is None else (rows, candidates)
    return torch.softmax(2 * torch.randn(shape, generator=generator), dim=-1)
