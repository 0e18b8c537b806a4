"""What a training stage hears in one pass: utterances with a target each, from its data mixture.

The mixture (IWSLT 2025 compression, 3.2 and 3.3; Table 7): the references, the teacher's hypotheses beside them as further targets of the
same audio (sequence-level distillation, Kim and Rush 2016) without those that repeat a reference or one another, and out-of-domain data;
each of them taken a whole number of times, so that little data can be oversampled.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from paredown.data.split import Utterance
from paredown.errors import BadInput
from paredown.models.model import Model
from paredown.recover.spelling import Spell, output_speller, source_speller
from paredown.recover.training_data import TrainingData
from paredown.space.training import Mixture

Origin = Literal["reference", "distilled", "other"]
Hypotheses = Mapping[str, Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Item:
    """One target for one utterance, taken `times` times a pass.

    `tokens`: what the decoder learns to write, without sos and eos. `source`: what a source CTC learns to spell; empty where nobody knows
    what is said, and then the utterance takes no part in that loss.
    """

    utterance: str
    audio: Path
    seconds: float
    origin: Origin
    tokens: tuple[int, ...]
    source: tuple[int, ...] = ()
    times: int = 1


def gather_items(
    model: Model, data: TrainingData, mixture: Mixture, hypotheses: Hypotheses | None = None, nbest: int = 1
) -> tuple[Item, ...]:
    """Every item of the mixture, in the order references, distilled, out-of-domain, and of the utterances in each.

    `hypotheses`: by utterance id, token ids of the teacher's, best first, of which `nbest` are taken. Utterances without a reference
    are left out of the references: distillation alone can use them. Raises ValueError if the mixture takes hypotheses and there are none,
    BadInput if it takes out-of-domain data and there are none, or if nothing is left.
    """
    if mixture.distilled and hypotheses is None:
        raise ValueError("a mixture with distilled targets needs the teacher's hypotheses, got none")
    items: list[Item] = []
    if mixture.references:
        items += _taken(_references(model, data, "reference"), mixture.references)
    if mixture.distilled and hypotheses is not None:
        items += _distilled(data, _Speller.of(model), hypotheses, {item.utterance: item.tokens for item in items}, nbest, mixture.distilled)
    if mixture.out_of_domain:
        if data.other is None:
            raise BadInput(f"a mixture with out-of-domain data needs such data, got {mixture.out_of_domain} times none")
        items += _taken(_references(model, data, "other"), mixture.out_of_domain)
    if not items:
        wanted = "translation" if model.task == "st" else "text"
        raise BadInput(f"training needs targets: no utterance of {data.train.name} has a {wanted}, and no teacher's hypothesis was taken")
    return tuple(items)


@dataclass(frozen=True)
class _Speller:
    """Texts of utterances as ids."""

    spell: Spell
    spell_source: Spell | None

    @classmethod
    def of(cls, model: Model) -> "_Speller":
        return cls(output_speller(model), source_speller(model))

    def source(self, utterance: Utterance) -> tuple[int, ...]:
        return () if self.spell_source is None or utterance.text is None else self.spell_source(utterance.text)


@lru_cache(maxsize=4)
def _references(model: Model, data: TrainingData, origin: Origin) -> tuple[Item, ...]:
    """An item for each utterance with a reference that is not empty; kept, for spelling takes a second and a study trains often."""
    split, facts = (data.train, data.train_facts) if origin == "reference" else (data.other, data.other_facts)
    assert split is not None
    assert facts is not None
    speller, items = _Speller.of(model), []
    for utterance, seconds in zip(split.utterances, facts.seconds.tolist(), strict=True):
        line = utterance.translation if model.task == "st" else utterance.text
        tokens = () if line is None else speller.spell(line)
        if tokens:
            items.append(Item(utterance.id, utterance.audio, seconds, origin, tokens, speller.source(utterance)))
    return tuple(items)


def _taken(items: Iterable[Item], times: int) -> Iterator[Item]:
    return (item if item.times == times else replace(item, times=times) for item in items)


def _distilled(
    data: TrainingData, speller: _Speller, hypotheses: Hypotheses, known: Mapping[str, tuple[int, ...]], nbest: int, times: int
) -> Iterator[Item]:
    """An item for each hypothesis that is neither empty nor `known` nor a repetition."""
    for utterance, seconds in zip(data.train.utterances, data.train_facts.seconds.tolist(), strict=True):
        seen = {known.get(utterance.id, ()), ()}
        for ids in hypotheses.get(utterance.id, ())[:nbest]:
            tokens = tuple(ids)
            if tokens not in seen:
                seen.add(tokens)
                yield Item(utterance.id, utterance.audio, seconds, "distilled", tokens, speller.source(utterance), times)


def describe_targets(items: Sequence[Item]) -> bytes:
    """What identifies the targets of items, in their order: utterances and ids."""
    return "\n".join(json.dumps([item.utterance, *item.tokens]) for item in items).encode()
