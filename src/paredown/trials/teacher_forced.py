"""What the network is made to follow: features, and the references of a split."""

import numpy as np
import torch
from numpy.typing import NDArray

from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.models.tokenizer import text_encoder
from paredown.profilers.machine_lock import machine_share
from paredown.runtime.audio import read_audio


def read_features(model: Model, split: Split) -> list[NDArray[np.float32]]:
    """Normalised features [frames, mels] of every utterance."""
    rate_hz = model.frontend.sample_rate_hz
    with machine_share():  # milliseconds an utterance
        return [model.features(torch.from_numpy(read_audio(utterance.audio, rate_hz))).numpy() for utterance in split.utterances]


def read_references(model: Model, split: Split) -> tuple[Sample, ...]:
    """Features and the ids of the references. Raises BadInput where an utterance has none."""
    encode, lines = text_encoder(model), split.references(model.task)
    return tuple(Sample(feature, encode(line)) for feature, line in zip(read_features(model, split), lines, strict=True))
