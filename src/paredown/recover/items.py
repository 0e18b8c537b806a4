"""What a training stage hears in one pass: utterances with a target each, from its data mixture.

The mixture (IWSLT 2025 compression, 3.2 and 3.3; Table 7): the references, the teacher's hypotheses beside them as further targets of the
same audio (sequence-level distillation, Kim and Rush 2016) without those that repeat a reference or one another, and out-of-domain data;
each of them taken a whole number of times, so that little data can be oversampled.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paredown.data.split import Split, Utterance
from paredown.errors import BadInput
from paredown.models.model import Model
from paredown.recover.spelling import Spell, output_speller, source_speller
from paredown.recover.training_data import SplitFacts, TrainingData
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
    speller = _Speller.of(model)
    references = tuple(speller.references(data.train, data.train_facts, "reference", mixture.references or 1))
    if mixture.references:
        items += references
    if mixture.distilled and hypotheses is not None:
        known = {item.utterance: item.tokens for item in references} if mixture.references else {}
        items += _distilled(data, speller, hypotheses, known, nbest, mixture.distilled)
    if mixture.out_of_domain:
        if data.other is None or data.other_facts is None:
            raise BadInput(f"a mixture with out-of-domain data needs such data, got {mixture.out_of_domain} times none")
        items += speller.references(data.other, data.other_facts, "other", mixture.out_of_domain)
    if not items:
        wanted = "translation" if model.task == "st" else "text"
        raise BadInput(f"training needs targets: no utterance of {data.train.name} has a {wanted}, and no teacher's hypothesis was taken")
    return tuple(items)


@dataclass(frozen=True)
class _Speller:
    """Texts of utterances as ids."""

    task: str
    spell: Spell
    spell_source: Spell | None

    @classmethod
    def of(cls, model: Model) -> "_Speller":
        return cls(model.task, output_speller(model), source_speller(model))

    def source(self, utterance: Utterance) -> tuple[int, ...]:
        return () if self.spell_source is None or utterance.text is None else self.spell_source(utterance.text)

    def references(self, split: Split, facts: SplitFacts, origin: Origin, times: int) -> Iterator[Item]:
        """An item for each utterance with a reference that is not empty."""
        for utterance, seconds in zip(split.utterances, facts.seconds.tolist(), strict=True):
            line = utterance.translation if self.task == "st" else utterance.text
            tokens = () if line is None else self.spell(line)
            if tokens:
                yield Item(utterance.id, utterance.audio, seconds, origin, tokens, self.source(utterance), times)


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
