"""Which sentence goes to which split: near-duplicates together, held-out sentences drawn by whole components.

Two pairs belong together when they share the English template, the English line or the German line (both without case and
punctuation); components are the closure of that (union-find). Components above `LARGEST_HELD_OUT` sentences stay in train. A sentence
outside that has the loose template of a held-out one ("I know Tom.", "I know him.") is in no split.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from studies.bundled_model.text import Pair, bare, find_names, loose_template, read_pairs, template

SEED = 20240517
LARGEST_HELD_OUT = 40
UTTERANCES = {"analysis": 100, "search": 200, "test": 1000}
_SENTENCES_CHANCE = (0.17, 0.35, 0.31, 0.17)


@dataclass(frozen=True)
class Sentence:
    """One distinct English line, its German lines (source order) and the ids of its pairs."""

    english: str
    germans: tuple[str, ...]
    pair_ids: tuple[int, ...]


@dataclass(frozen=True)
class Partition:
    """Train sentences, utterances of each held-out split (1 to 4 sentences each), sizes of all components, sentences in no split."""

    train: tuple[Sentence, ...]
    held_out: dict[str, tuple[tuple[Sentence, ...], ...]]
    component_sizes: tuple[int, ...]
    dropped: int


class _UnionFind:
    """Disjoint sets over 0..count-1 with path halving."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, first: int, second: int) -> None:
        self.parent[self.find(second)] = self.find(first)


def gather_sentences(pairs: Iterable[Pair]) -> tuple[Sentence, ...]:
    """Pairs grouped by their exact English line, in order of first appearance."""
    grouped: dict[str, list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(pair.english, []).append(pair)
    return tuple(
        Sentence(english, tuple(dict.fromkeys(p.german for p in group)), tuple(p.pair_id for p in group))
        for english, group in grouped.items()
    )


def find_components(sentences: Sequence[Sentence]) -> tuple[tuple[int, ...], ...]:
    """Index groups of sentences that must stay in one split, ordered by their first sentence."""
    names = find_names(sentence.english for sentence in sentences)
    sets, seen = _UnionFind(len(sentences)), dict[Hashable, int]()
    for index, sentence in enumerate(sentences):
        keys = [("template", template(sentence.english, names)), ("en", bare(sentence.english))]
        for key in keys + [("de", bare(german)) for german in sentence.germans]:
            sets.join(seen.setdefault(key, index), index)
    grouped: dict[int, list[int]] = {}
    for index in range(len(sentences)):
        grouped.setdefault(sets.find(index), []).append(index)
    return tuple(tuple(group) for group in grouped.values())


def _draw_lengths(count: int, rng: np.random.Generator) -> list[int]:
    return [int(length) for length in rng.choice(len(_SENTENCES_CHANCE), size=count, p=_SENTENCES_CHANCE) + 1]


def _take_components(components: Iterable[tuple[int, ...]], needed: int) -> list[int]:
    """Takes whole components off the iterator until they have at least `needed` sentences; gives the indices of all of them."""
    taken: list[int] = []
    for component in components:
        taken.extend(component)
        if len(taken) >= needed:
            break
    return taken


def _resembling(sentences: Sequence[Sentence], held_out: Iterable[int]) -> set[int]:
    """Indices of the sentences with the loose template of a held-out one (held-out ones included)."""
    names = find_names(sentence.english for sentence in sentences)
    loose = [loose_template(sentence.english, names) for sentence in sentences]
    forbidden = {loose[index] for index in held_out}
    return {index for index, key in enumerate(loose) if key in forbidden}


def _drawn_components(components: Sequence[tuple[int, ...]], count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Components in the order in which uniformly drawn sentences hit them, without those too large to hold out."""
    owner = np.empty(count, dtype=np.int64)
    for number, component in enumerate(components):
        owner[list(component)] = number
    hit = dict.fromkeys(int(owner[index]) for index in rng.permutation(count))
    return [components[number] for number in hit if len(components[number]) <= LARGEST_HELD_OUT]


def partition(sentences: Sequence[Sentence], seed: int = SEED) -> Partition:
    """Held-out splits first, everything untouched by their components is train; equal seeds give equal partitions."""
    rng = np.random.default_rng(seed)
    components = find_components(sentences)
    drawn = iter(_drawn_components(components, len(sentences), rng))
    held_out: dict[str, tuple[tuple[Sentence, ...], ...]] = {}
    held: list[int] = []
    for split, count in UTTERANCES.items():
        lengths = _draw_lengths(count, rng)
        taken = _take_components(drawn, sum(lengths))
        held.extend(taken)
        order = [sentences[index] for index in rng.permutation(taken[: sum(lengths)])]
        bounds = np.cumsum([0, *lengths])
        held_out[split] = tuple(tuple(order[start:end]) for start, end in pairwise(bounds))
    absent = _resembling(sentences, held)
    train = tuple(sentence for index, sentence in enumerate(sentences) if index not in absent)
    dropped = len(sentences) - len(train) - sum(len(utterance) for utterances in held_out.values() for utterance in utterances)
    return Partition(train, held_out, tuple(sorted(map(len, components), reverse=True)), dropped)


def load_partition() -> Partition:
    """The partition of the shipped text with the recipe's seed."""
    return partition(gather_sentences(read_pairs()))


def main() -> None:
    """Prints the component size distribution and the split sizes."""
    parts = load_partition()
    sizes = Counter(parts.component_sizes)
    print("largest components:", parts.component_sizes[:12])
    print("components by size:", dict(sorted(sizes.items())[:12]))
    print("train sentences:", len(parts.train), "pairs:", sum(len(s.pair_ids) for s in parts.train), "dropped sentences:", parts.dropped)
    for split, utterances in parts.held_out.items():
        print(split, "utterances:", len(utterances), "sentences:", sum(map(len, utterances)))


if __name__ == "__main__":
    main()
