"""What the network is made to follow: the references of a split."""

import torch

from paredown.analysis.stages import Sample
from paredown.data import Split
from paredown.models import Model
from paredown.models.tokenizer import text_encoder
from paredown.profilers.machine_lock import machine_share
from paredown.runtime.audio import read_audio


def read_references(model: Model, split: Split) -> tuple[Sample, ...]:
    """Features and the ids of the references. Raises BadInput where an utterance has none."""
    encode, rate_hz = text_encoder(model), model.frontend.sample_rate_hz
    lines = split.references(model.task)
    with machine_share():  # milliseconds an utterance
        features = [model.features(torch.from_numpy(read_audio(utterance.audio, rate_hz))).numpy() for utterance in split.utterances]
    return tuple(Sample(feature, encode(line)) for feature, line in zip(features, lines, strict=True))
