"""Endless training batches: passes over the items in buckets of like length, made in one background process.

All randomness hangs on (seed, pass), so a stream resumed at a position gives what the uninterrupted one would have given.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from paredown.errors import BadInput
from paredown.models.frontend import FrontendSettings, LogMelFrontend
from paredown.models.network import Network
from paredown.recover.batch import Batch, Position, pad_ids
from paredown.recover.hearing import count_frames, count_states, hear, states_for_ctc
from paredown.recover.items import Item
from paredown.recover.top_k import Posteriors

PREFETCHED = 8


@dataclass(frozen=True)
class StreamSettings:
    """`batch_s`: seconds of audio in a batch, padding counted; `jitter_s`: how far lengths are moved at random before they are sorted."""

    frontend: FrontendSettings
    batch_s: float = 78.0
    jitter_s: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_s <= 0 or self.jitter_s < 0:
            raise ValueError(f"a batch must hold more than 0 s and jitter be at least 0 s, got {self.batch_s:g} and {self.jitter_s:g}")


@dataclass(frozen=True, eq=False)
class Course:
    """Items that can be learned from, and which of the teacher's targets each of them is (None: no teacher).

    `left_out`: items whose audio is too short for the subsampling, or for the output CTC to spell their target; `unspelled`: those
    whose source text the source CTC cannot spell in time, which learn without it.
    """

    items: tuple[Item, ...]
    posteriors: Posteriors | None
    targets: tuple[int, ...]
    left_out: int = 0
    unspelled: int = 0

    def describe(self) -> str | None:
        """One line about what was left out, None if nothing was."""
        parts = []
        if self.left_out:
            parts.append(f"{self.left_out} of {self.left_out + len(self.items)} utterances are too short for their targets: left out")
        if self.unspelled:
            parts.append(f"{self.unspelled} too short to spell what is said: they train without the source CTC")
        return "; ".join(parts) or None


def choose_items(
    items: Sequence[Item],
    network: Network,
    frontend: FrontendSettings,
    posteriors: Posteriors | None = None,
    *,
    source_from_teacher: bool = False,
) -> Course:
    """What of the items the network can learn from when it hears with this frontend. Raises BadInput if that is nothing.

    `posteriors` holds a target for each item, in their order; with `source_from_teacher`, what the teacher's source CTC heard stands in
    where nobody knows what is said.
    """
    kept, targets, unspelled = [], [], 0
    with_ctc, spells_source = network.output_ctc is not None, network.source_ctc is not None
    for number, item in enumerate(items):
        if source_from_teacher and posteriors is not None and not item.source:
            item = replace(item, source=posteriors.heard(number))
        states = count_states(count_frames(item.seconds, frontend), network)
        if states < 1 or (with_ctc and states < states_for_ctc(item.tokens)):
            continue
        if not spells_source and item.source:
            item = replace(item, source=())
        elif states < states_for_ctc(item.source):
            item, unspelled = replace(item, source=()), unspelled + 1
        kept.append(item)
        targets.append(number)
    if not kept:
        raise BadInput(f"training needs utterances that the network can hear, got {len(items)}, all too short for their targets")
    return Course(tuple(kept), posteriors, tuple(targets), len(items) - len(kept), unspelled)


def plan_pass(seconds: NDArray[np.float64], epoch: int, settings: StreamSettings) -> list[list[int]]:
    """The batches of a pass, in random order: each a list of places in `seconds`, of like length, within `batch_s` unless it is alone."""
    rng = np.random.default_rng([settings.seed, epoch])
    order = np.argsort(seconds + rng.uniform(0.0, settings.jitter_s, len(seconds)), kind="stable").tolist()
    lengths_s = seconds.tolist()
    batches: list[list[int]] = [[]]
    longest_s = 0.0
    for place in order:
        longest_s = max(longest_s, lengths_s[place])
        if batches[-1] and (len(batches[-1]) + 1) * longest_s > settings.batch_s:
            batches.append([])
            longest_s = lengths_s[place]
        batches[-1].append(place)
    return [batches[number] for number in rng.permutation(len(batches))]


def stream_items(course: Course, settings: StreamSettings, start: Position) -> Iterator[Batch]:
    """Batches from a position on, without end, made in one background process of one thread; torch's global generator is left alone.

    Raises ValueError if the position is one of other items, BadInput, naming the file, for audio that cannot be read.
    """
    stream = ItemStream(course, settings, start)
    loader: DataLoader[Batch | BadInput] = DataLoader(
        stream, batch_size=None, num_workers=1, prefetch_factor=PREFETCHED, worker_init_fn=_begin, generator=torch.Generator()
    )
    for batch in loader:
        if isinstance(batch, BadInput):
            raise batch
        yield batch


def source_of(course: Course, settings: StreamSettings) -> Callable[[Position], Iterator[Batch]]:
    """What the trainer takes: `stream_items` from any position."""
    return lambda position: stream_items(course, settings, position)


def _begin(_: int) -> None:
    """The parent alone answers Ctrl-C."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ItemStream(IterableDataset[Batch | BadInput]):
    """The batches themselves, in the process that iterates; audio that cannot be read comes as the error, which is then the last."""

    def __init__(self, course: Course, settings: StreamSettings, start: Position) -> None:
        self._course, self._settings, self._start = course, settings, start
        self._entries = [number for number, item in enumerate(course.items) for _ in range(item.times)]
        if start.items not in (0, len(self._entries)):
            raise ValueError(f"a stream of {len(self._entries)} items cannot continue at a position of one of {start.items}")

    def __iter__(self) -> Iterator[Batch | BadInput]:
        frontend, position = LogMelFrontend(self._settings.frontend), self._start
        seconds = np.array([self._course.items[number].seconds for number in self._entries])
        while True:
            plan = plan_pass(seconds, position.epoch, self._settings)
            for number in range(position.batch, len(plan)):
                after = Position(position.epoch, number + 1, len(self._entries), position.batches_before)
                if number + 1 == len(plan):
                    after = Position(position.epoch + 1, 0, 0, position.batches_before + len(plan))
                try:
                    yield make_batch(self._course, [self._entries[place] for place in plan[number]], frontend, after)
                except BadInput as error:
                    yield error
                    return
            position = after


def make_batch(course: Course, numbers: Sequence[int], frontend: LogMelFrontend, after: Position) -> Batch:
    """The batch of some items of a course. Raises BadInput for audio that cannot be read."""
    items = [course.items[number] for number in numbers]
    features, frames, audio_s = hear(frontend, [item.audio for item in items])
    tokens, token_lengths = pad_ids([item.tokens for item in items])
    source, source_lengths = pad_ids([item.source for item in items])
    teacher = None if course.posteriors is None else course.posteriors.batch([course.targets[number] for number in numbers])
    return Batch(features, frames, tokens, token_lengths, source, source_lengths, audio_s, after, teacher)
