"""Which utterances of the search split to listen to, and what the uncompressed model says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from paredown.data import Split

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.profilers.fingerprint import Fingerprint

DIFFERENT, RANDOM = 8, 4
LONGEST_S = 120.0  # of audio that a report decodes itself


@dataclass(frozen=True)
class Heard:
    """One utterance: what was said, the reference, and what trials say of it, by their numbers; `baseline` None where it is not known.

    `differs`: whether it was taken because two trials differ most there; else by chance.
    """

    id: str
    audio: Path
    source: str | None
    reference: str | None
    baseline: str | None
    texts: tuple[tuple[int, str], ...]
    differs: bool


def choose_places(first: Mapping[int, str], second: Mapping[int, str], seed: int) -> dict[int, bool]:
    """A dozen places of a split, in its order: those where two texts differ most, and some of the others by chance.

    `first`, `second`: texts by place. Returns for each chosen place whether it is one of the former.
    """
    both = sorted(first.keys() & second.keys())
    ranked = sorted(both, key=lambda place: (_likeness(first[place], second[place]), place))
    most = [place for place in ranked[:DIFFERENT] if first[place] != second[place]]
    others = sorted(set(both) - set(most))
    drawn = np.random.default_rng(seed).permutation(others)[:RANDOM].tolist() if others else []
    return {place: place in most for place in sorted([*most, *drawn])}


def _likeness(one: str, other: str) -> float:
    """Of words, 1 where equal."""
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio()


def seconds_of(split: Split, places: Sequence[int]) -> float:
    """Of audio in all."""
    return float(sum(soundfile.info(str(split.utterances[place].audio)).duration for place in places))


def decode_baseline(model: "Model", split: Split, places: Sequence[int], machine: "Fingerprint | None") -> dict[int, str]:
    """What the uncompressed bundle says here of these utterances, by place; kept in the records where `machine` is this one.

    Some seconds: it is built first. Raises BadInput where the model cannot be written as a bundle.
    """
    from paredown.profilers.fingerprint import read_fingerprint
    from paredown.profilers.machine_lock import machine_share
    from paredown.runtime import Translator
    from paredown.trials.decoding import Hypothesis
    from paredown.trials.evaluation import uncompressed
    from paredown.trials.records import Records, hypotheses_key, utterance_digests
    from paredown.trials.workshop import Workshop

    part = Split(split.name, tuple(split.utterances[place] for place in places))
    configuration = uncompressed(model)
    with Workshop(model) as workshop:
        bundle = workshop.build(configuration)
        with machine_share():
            translator = Translator.from_bundle(bundle, threads=1)  # as the processes of a study decode
            said = [translator.translate(utterance.audio) for utterance in part.utterances]
    if machine is not None and read_fingerprint(machine.threads).digest == machine.digest:
        found = [Hypothesis(one.text, tuple(one.ids), one.hit_cap) for one in said]
        key = hypotheses_key(model.digest, configuration.digest, None, machine, None, model.digest)
        Records().add(key, dict(zip(utterance_digests(part), found, strict=True)))
    return {place: one.text for place, one in zip(places, said, strict=True)}
