"""Synthetic batches for a tiny network, resumable like the recipe's."""

from collections.abc import Callable, Iterator

import torch

from paredown.recover.batch import Batch, Position, pad_ids


def make_batch(seed: int, position: Position | None = None, utterances: int = 3, mels: int = 20) -> Batch:
    """Utterances of 40 to 70 frames with 2 to 5 tokens of an 8-token list and 1 to 3 of a 5-token source list."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(40, 71, (utterances,), generator=generator)
    features = torch.randn(utterances, int(frames.max()), mels, generator=generator)
    for row, count in enumerate(frames):
        features[row, count:] = 0.0
    tokens, token_lengths = pad_ids([_ids(2, 6, 7, generator) for _ in range(utterances)])
    source, source_lengths = pad_ids([_ids(1, 4, 4, generator) for _ in range(utterances)])
    audio_s = float(frames.sum()) / 100
    return Batch(features, frames, tokens, token_lengths, source, source_lengths, audio_s, position or Position())


def _ids(shortest: int, beyond: int, vocabulary: int, generator: torch.Generator) -> list[int]:
    """No blank (0), no sos/eos (the last)."""
    count = int(torch.randint(shortest, beyond, (1,), generator=generator))
    return torch.randint(1, vocabulary, (count,), generator=generator).tolist()


def make_source(until: int) -> Callable[[Position], Iterator[Batch]]:
    """A source whose batch number n is the same from wherever it is resumed; it ends before batch `until`."""

    def source(start: Position) -> Iterator[Batch]:
        for number in range(start.batch, until):
            yield make_batch(number, Position(batch=number + 1))

    return source
