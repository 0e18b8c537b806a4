"""SpecAugment (Park et al. 2019) on a batch: bands of mel channels and spans of frames set to 0, the mean of normalised features."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Masking:
    """How much is masked: `bands` of at most `band_mels` channels, `spans` of at most `span_share` of the utterance's frames each."""

    bands: int = 2
    band_mels: int = 8
    spans: int = 5
    span_share: float = 0.05


def mask_features(features: Tensor, frames: Tensor, masking: Masking) -> Tensor:
    """[utterances, frames, mels] with every utterance masked on its own; randomness from torch's global generator."""
    utterances, longest, mels = features.shape
    bands = _draw(torch.full((utterances,), mels), torch.full((utterances,), masking.band_mels), masking.bands, mels)
    lengths = frames.to("cpu")
    spans = _draw(lengths, (lengths * masking.span_share).long(), masking.spans, longest)
    hidden = bands[:, None, :] | spans[:, :, None]
    return features.masked_fill(hidden.to(features.device), 0.0)


def _draw(lengths: Tensor, widest: Tensor, count: int, size: int) -> Tensor:
    """[utterances, size] True inside `count` random stretches of 0..widest inside [0, length)."""
    widths = (torch.rand(len(lengths), count) * (widest[:, None] + 1)).long()
    starts = (torch.rand(len(lengths), count) * (lengths[:, None] - widths + 1)).long()
    places = torch.arange(size)
    return ((places >= starts[..., None]) & (places < (starts + widths)[..., None])).any(dim=1)
