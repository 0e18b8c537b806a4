"""One training batch, and where in its stream of batches it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from paredown.recover.top_k import TopK

PADDING = -1


@dataclass(frozen=True)
class Position:
    """Where a stream continues: the pass, the next batch in it, the items it was planned over, the batches given before the pass began."""

    epoch: int = 0
    batch: int = 0
    items: int = 0
    batches_before: int = 0


@dataclass(frozen=True)
class Batch:
    """Padded utterances: features [utterances, frames, mels] (log-mel, not normalised), ids [utterances, length] padded with -1.

    A row with a source length of 0 has no source text. `position` is where the stream continues after this batch; `audio_s` the seconds
    of speech in it, padding not counted. `teacher`: what a teacher thinks of every position, None where nobody asked.
    """

    features: Tensor
    frames: Tensor
    tokens: Tensor
    token_lengths: Tensor
    source_tokens: Tensor
    source_lengths: Tensor
    audio_s: float
    position: Position
    teacher: TopK | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        if device.type == "cpu":
            return self
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: _move(value, device) for name, value in values.items() if isinstance(value, Tensor | TopK)}
        return Batch(**{**values, **moved})


def _move(value: Tensor | TopK, device: torch.device) -> Tensor | TopK:
    return value.to(device) if isinstance(value, TopK) else value.to(device, non_blocking=True)


def pad_ids(sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded with -1, [sequences, longest], and their lengths."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    padded = torch.full((len(sequences), max(1, int(lengths.max()))), PADDING, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
    return padded, lengths
