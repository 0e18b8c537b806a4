"""Teacher-forced loss of a bundle itself on a few utterances of the analysis split: the first look at what a candidate still knows.

Cheaper than a search, and smoother than its score: every token of every reference counts. It is another quantity than what the study
drives, so it ends a candidate only where it is worse than a trial that costs no more by so much that no score was ever seen to make up.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from paredown.data import Split
from paredown.profilers.measurement import Measurement

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.runtime import Translator
    from paredown.runtime.translator import Encoded

NAME, UNIT = "loss", "nats a token"
UTTERANCES = 16
CONFIDENCE = 0.99  # one-sided
# Nats a token. Of 133 configurations of the bundled model none that was worse by more than a third of this, for sure, had the better chrF
# (seeds 7 and 20261121 of tests/benchmarks/race_recordings.py).
MARGIN = 0.15
Losses = tuple[tuple[float, int], ...]  # of every utterance the summed loss in nats, and the tokens with the end
Items = tuple[tuple[Path, tuple[int, ...]], ...]  # audio, and the tokens of its reference


def read_items(model: "Model", split: Split) -> Items:
    """A few utterances, spread over the lengths. Raises BadInput where one has no reference."""
    from paredown.models.tokenizer import text_encoder  # torch
    from paredown.trials.evaluation import spread_by_length

    chosen, encode = spread_by_length(split, UTTERANCES), text_encoder(model)
    pairs = zip(chosen.utterances, chosen.references(model.task), strict=True)
    return tuple((utterance.audio, tuple(encode(line))) for utterance, line in pairs)


def digest_items(items: Items) -> str:
    """SHA-256 of audio and tokens, in hex."""
    found = hashlib.sha256()
    for audio, ids in items:
        found.update(hashlib.sha256(audio.read_bytes()).digest() + repr(ids).encode())
    return found.hexdigest()


@dataclass(frozen=True)
class Worse:
    """By how many nats a token a candidate is worse than a rival, and at least by how many, with the confidence asked."""

    nats: float
    least: float


def force(translator: "Translator", encoded: "Encoded", ids: Sequence[int]) -> tuple[float, int]:
    """Negative log-likelihood in nats of the tokens `ids` and the end, and how many they are. The search must take a decoder."""
    decoder, settings = translator.decoder, translator.settings
    assert decoder is not None  # `has_decoder` was asked
    decoder.listen(encoded.memory_keys, encoded.memory_values)
    decoder.start()
    loss = 0.0
    for position, (token, target) in enumerate(zip((settings.sos, *ids), (*ids, settings.eos), strict=True)):
        scores, found = decoder.step(np.array([token]), position, np.array([0]), settings.vocabulary)
        loss -= float(scores[0][found[0] == target][0])
    return loss, len(ids) + 1


def to_measurement(losses: Losses) -> Measurement:
    """Nats a token of all utterances together; those of each are in the detail."""
    nats, tokens = (tuple(float(part) for part in parts) for parts in zip(*losses, strict=True))
    return Measurement(sum(nats) / sum(tokens), UNIT, samples=len(losses), detail=(("nats", nats), ("tokens", tokens)))


def from_measurement(figure: Measurement) -> Losses:
    """What `to_measurement` was given."""
    nats, tokens = (figure.detail_of[name] for name in ("nats", "tokens"))
    assert isinstance(nats, tuple)
    assert isinstance(tokens, tuple)
    return tuple((each, int(count)) for each, count in zip(nats, tokens, strict=True))


def compare(candidate: Losses, rival: Losses) -> Worse:
    """On the same utterances, as a ratio of sums: nats over tokens; its error by the infinitesimal jackknife."""
    tokens = np.array([count for _, count in candidate], dtype=np.float64)
    apart: NDArray[np.float64] = np.array([own - other for (own, _), (other, _) in zip(candidate, rival, strict=True)])
    mean = float(apart.sum() / tokens.sum())
    if len(apart) < 2:
        return Worse(mean, -np.inf)
    residual = (apart - mean * tokens) / tokens.mean()
    error = float(residual.std(ddof=1)) / sqrt(len(apart))
    return Worse(mean, mean - float(student_t.ppf(CONFIDENCE, len(apart) - 1)) * error)


def find_better(candidate: Losses, rivals: Mapping[int, Losses]) -> tuple[int, Worse] | None:
    """The rival that the candidate is worse than by most, where that is beyond the margin for sure; None where there is none."""
    found = [(trial, compare(candidate, losses)) for trial, losses in rivals.items()]
    surely = [(trial, worse) for trial, worse in found if worse.least > MARGIN]
    return max(surely, key=lambda pair: pair[1].least) if surely else None
