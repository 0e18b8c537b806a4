"""What architecture weights learn from: batches of utterances, and the posteriors that the whole network gives for them.

The loss is the divergence of the KL table (`analysis/posteriors.py`): mean over decoder positions of KL(P || Q), the decoder reading the
model's own hypothesis, plus, for every CTC, the mean over its frames; P of the whole network, Q of the mixture. Utterances of like length
share a batch, as in training; what padding does to convolutions it does to P and Q alike.

The model's own joint loss on references was tried in its place. Of nearly the same size, its widths have a joint loss on *search* no
lower (1.17 nats a token at 1.58M parameters of feed-forwards, against 1.15 at 1.66M), and it needs references and tokenizers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paredown.analysis.posteriors import ctc_heads
from paredown.analysis.stages import Sample
from paredown.models.network import Network

DECODER = "decoder"


@dataclass(frozen=True, eq=False)
class Lesson:
    """One padded batch: normalised `features` [utterances, frames, mels], `tokens` [utterances, positions] that the decoder reads.

    `targets`: log posteriors [utterances, positions or steps, tokens] of every head; empty until the whole network has given them.
    """

    features: Tensor
    frames: Tensor
    tokens: Tensor
    lengths: Tensor
    targets: Mapping[str, Tensor]


def make_lessons(network: Network, samples: Sequence[Sample], sos: int, batch_frames: int) -> tuple[Lesson, ...]:
    """Batches of at most `batch_frames` frames, padding counted (or of one utterance), with the posteriors of the network as it is now.

    Raises ValueError without an utterance.
    """
    if not samples:
        raise ValueError("a search needs at least one utterance, got none")
    batches: list[list[Sample]] = [[]]
    for sample in sorted(samples, key=lambda sample: len(sample.features)):
        if batches[-1] and (len(batches[-1]) + 1) * len(sample.features) > batch_frames:
            batches.append([])
        batches[-1].append(sample)
    return tuple(_make_lesson(network, batch, sos) for batch in batches)


def _make_lesson(network: Network, batch: Sequence[Sample], sos: int) -> Lesson:
    frames = torch.tensor([len(sample.features) for sample in batch])
    features = torch.zeros(len(batch), int(frames.max()), batch[0].features.shape[1])
    for row, sample in enumerate(batch):
        features[row, : len(sample.features)] = torch.from_numpy(sample.features)
    read = [torch.tensor((sos, *sample.tokens)) for sample in batch]
    tokens, lengths = pad_sequence(read, batch_first=True), torch.tensor([len(ids) for ids in read])
    lesson = Lesson(features, frames, tokens, lengths, {})
    with torch.no_grad():
        targets = {head: torch.log_softmax(logits.float(), dim=-1) for head, (logits, _) in _logits(network, lesson).items()}
    return Lesson(features, frames, tokens, lengths, targets)


def divergence_of(network: Network, lesson: Lesson) -> Tensor:
    """The loss of the network as it is now on one batch, in nats; lower is better, 0 is no change."""
    terms = []
    for head, (logits, lengths) in _logits(network, lesson).items():
        log_p, log_q = lesson.targets[head], torch.log_softmax(logits.float(), dim=-1)
        real = torch.arange(logits.shape[1])[None] < lengths[:, None]
        terms.append((log_p.exp() * (log_p - log_q)).sum(-1)[real].mean())
    return torch.stack(terms).sum()


def _logits(network: Network, lesson: Lesson) -> dict[str, tuple[Tensor, Tensor]]:
    """Logits [utterances, positions, tokens] of every head, and how many positions of each utterance are real."""
    states, steps = network.encode(lesson.features, lesson.frames)
    found = {name: (head.ctc_lo(states), steps) for name, head in ctc_heads(network).items()}
    logits, _ = network.decoder(states, steps, lesson.tokens, lesson.lengths)
    return found | {DECODER: (logits, lesson.lengths)}
