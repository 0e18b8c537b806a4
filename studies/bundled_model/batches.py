"""Training batches from the synthesised corpus: segments joined to utterances, disturbed, turned to features, bucketed by length.

All randomness hangs on (seed, pass, batch), so a stream resumed at a position gives what the uninterrupted one would have given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import sentencepiece
import torch
from torch.utils.data import DataLoader, IterableDataset

from paredown.models.frontend import FrontendSettings, LogMelFrontend
from paredown.recover.batch import Batch, Position, pad_ids
from studies.bundled_model.shards import SegmentStore
from studies.bundled_model.tokens import list_tokens, spoken_english
from studies.bundled_model.utterance import LONGEST_S, PAUSE_S, RATE_HZ, Waveform, disturb, join

CURRICULUM_BATCHES = 1_500  # of short utterances first: a decoder learns to attend on them
_SEGMENTS_EARLY = (0.45, 0.40, 0.15, 0.0)
SEGMENTS_LATER = (0.22, 0.32, 0.27, 0.19)
_FRAMES_PER_S = 100


class Tokenizer:
    """A sentencepiece model with ids of its ESPnet token list (`<blank>` 0, `<unk>` 1, …, `<sos/eos>` last)."""

    def __init__(self, model: Path) -> None:
        self.tokens = list_tokens(model)
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self._ids = {token: index for index, token in enumerate(self.tokens)}

    def encode(self, line: str) -> list[int]:
        """The ids of a line."""
        return [self._ids.get(piece, 1) for piece in self._processor.encode(line, out_type=str)]


Output = Literal["german", "english"]


@dataclass(frozen=True)
class BatchSettings:
    """Where the corpus lies, what the decoder learns to write, and how much goes into a batch: `batch_frames` of 10 ms, padding counted."""

    cache: Path
    frontend: FrontendSettings
    output: Output = "german"
    batch_frames: int = 9_000
    curriculum_batches: int = CURRICULUM_BATCHES
    seed: int = 0


def plan_pass(durations_s: Sequence[float], position: Position, settings: BatchSettings) -> list[list[tuple[int, ...]]]:
    """The batches of one pass over the segments: each a list of utterances, each one to four segments of at most 8 s together."""
    rng = np.random.default_rng([settings.seed, position.epoch])
    shares = _SEGMENTS_EARLY if position.batches_before < settings.curriculum_batches else SEGMENTS_LATER
    utterances = group_segments(durations_s, rng, shares)
    lengths_s = np.array([sum(durations_s[index] for index in utterance) + 0.3 * (len(utterance) - 1) for utterance in utterances])
    order = np.argsort(lengths_s + rng.uniform(0.0, 0.4, len(lengths_s)))
    batches: list[list[tuple[int, ...]]] = [[]]
    longest_s = 0.0
    for index in order:
        longest_s = max(longest_s, lengths_s[index])
        if batches[-1] and (len(batches[-1]) + 1) * longest_s * _FRAMES_PER_S > settings.batch_frames:
            batches.append([])
            longest_s = lengths_s[index]
        batches[-1].append(utterances[index])
    return [batches[index] for index in rng.permutation(len(batches))]


def group_segments(durations_s: Sequence[float], rng: np.random.Generator, shares: Sequence[float]) -> list[tuple[int, ...]]:
    """Every segment once, in random order, joined by random counts while the utterance stays below the longest."""
    order = rng.permutation(len(durations_s)).tolist()
    counts = rng.choice(len(shares), size=len(order), p=shares) + 1
    utterances: list[tuple[int, ...]] = []
    while order:
        chosen = [order.pop()]
        total_s = durations_s[chosen[0]]
        while order and len(chosen) < counts[len(utterances)] and total_s + PAUSE_S[1] + durations_s[order[-1]] <= LONGEST_S:
            total_s += PAUSE_S[1] + durations_s[order[-1]]
            chosen.append(order.pop())
        utterances.append(tuple(chosen))
    return utterances


class BatchStream(IterableDataset[Batch]):
    """Endless batches from a position on; new shards join at the next pass."""

    def __init__(self, settings: BatchSettings, start: Position) -> None:
        self.settings, self.start = settings, start

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        store = SegmentStore(self.settings.cache)
        maker, position = _BatchMaker(store, self.settings), self.start
        while True:
            items = position.items or store.refresh()
            durations_s = [store.duration_s(index) for index in range(items)]
            plan = plan_pass(durations_s, position, self.settings)
            for number in range(position.batch, len(plan)):
                last = number + 1 == len(plan)
                after = (
                    Position(position.epoch + 1, 0, 0, position.batches_before + len(plan))
                    if last
                    else Position(position.epoch, number + 1, items, position.batches_before)
                )
                yield maker.make(plan[number], (position.epoch, number), after)
            position = after


class _BatchMaker:
    """Turns planned utterances into a batch."""

    def __init__(self, store: SegmentStore, settings: BatchSettings) -> None:
        self.store, self.settings = store, settings
        self.frontend = LogMelFrontend(settings.frontend)
        self.german, self.english = Tokenizer(settings.cache / "de.model"), Tokenizer(settings.cache / "en.model")

    @torch.no_grad()
    def make(self, utterances: Sequence[tuple[int, ...]], key: tuple[int, int], after: Position) -> Batch:
        """One batch; `key`, its pass and number, is all that its randomness hangs on."""
        rng = np.random.default_rng([self.settings.seed, 1, *key])
        waveforms = [self._waveform(utterance, rng) for utterance in utterances]
        germans, englishes = zip(*(self._texts(utterance, rng) for utterance in utterances), strict=True)
        samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = torch.zeros(len(waveforms), int(samples.max()))
        for row, waveform in enumerate(waveforms):
            padded[row, : len(waveform)] = torch.from_numpy(waveform)
        features, frames = self.frontend(padded, samples)
        source, source_lengths = pad_ids([self.english.encode(line) for line in englishes])
        german, german_lengths = pad_ids([self.german.encode(line) for line in germans])
        tokens, token_lengths = (german, german_lengths) if self.settings.output == "german" else (source, source_lengths)
        return Batch(features, frames, tokens, token_lengths, source, source_lengths, float(samples.sum()) / RATE_HZ, after)

    def _waveform(self, utterance: tuple[int, ...], rng: np.random.Generator) -> Waveform:
        return disturb(join([self.store.segment(index)[0] for index in utterance], rng), rng)

    def _texts(self, utterance: tuple[int, ...], rng: np.random.Generator) -> tuple[str, str]:
        """German, one of the translations of each segment at random, and English as the CTC spells it."""
        texts = [self.store.texts(index) for index in utterance]
        german = " ".join(choices[int(rng.integers(len(choices)))] for _, choices in texts)
        return german, spoken_english(" ".join(english for english, _ in texts))


def stream_batches(settings: BatchSettings, start: Position) -> Iterator[Batch]:
    """Batches from a position on, made in one background process of one thread; torch's global generator is left alone."""
    loader = DataLoader(BatchStream(settings, start), batch_size=None, num_workers=1, prefetch_factor=8, generator=torch.Generator())
    return iter(loader)
