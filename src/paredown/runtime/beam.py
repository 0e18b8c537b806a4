"""Beam search, token for token the one of ESPnet (`BatchBeamSearch` with a decoder and a length bonus as full scorers).

What is mirrored, because results depend on it:
- scores add up in float32, in the order log-probability + bonus + score of the prefix;
- the best `beam_size` of all (hypothesis, token) pairs go on; one that took eos then leaves the beam, which gets smaller;
- at the last position eos is put behind every hypothesis, without a score, also behind one that has just taken eos itself;
- with `maxlenratio == 0` the search ends when hypotheses of three successive lengths were all 10 below the best one;
- if nothing ended, everything is repeated with a `minlenratio` smaller by 0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput

_END_LENGTHS, _END_SCORE = 3, float(np.log(1 * np.exp(-10)))  # M and D_end of ESPnet's end_detect


class StepModel(Protocol):
    """A decoder that scores one more token of every hypothesis and keeps its own caches."""

    def start(self) -> None:
        """Forget the caches: the next step is the first."""
        ...

    def step(
        self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Log-probabilities and ids [beam, k] of the k best next tokens, best first.

        `tokens` [beam] are the newest tokens, at `position`; `order` [beam]: hypothesis i continues row `order[i]` of the step before.
        """
        ...


@dataclass(frozen=True)
class BeamSettings:
    """How to search. Lengths are shares of the encoder's frames; a negative `maxlenratio` or `minlenratio` is a number of tokens."""

    beam_size: int
    vocabulary: int
    sos: int
    eos: int
    maxlenratio: float = 0.0
    minlenratio: float = 0.0
    length_bonus: float = 0.0
    normalize_length: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.beam_size <= self.vocabulary:
            raise BadInput(f"beam size must lie in [1, {self.vocabulary}] (the vocabulary), got {self.beam_size}")
        if not (0 <= self.sos < self.vocabulary and 0 <= self.eos < self.vocabulary):
            raise BadInput(f"sos and eos ids must lie in [0, {self.vocabulary - 1}], got {self.sos} and {self.eos}")
        if -1 < self.maxlenratio < 0:
            raise BadInput(f"maxlenratio must be 0, a share above 0, or at most -1 (a number of tokens), got {self.maxlenratio}")

    def max_length(self, memory_frames: int) -> int:
        """Most tokens of a hypothesis."""
        if self.maxlenratio == 0:
            return memory_frames
        return -int(self.maxlenratio) if self.maxlenratio < 0 else max(1, int(self.maxlenratio * memory_frames))


@dataclass(frozen=True)
class Hypothesis:
    """Token ids with sos in front and, when it ended, eos behind. `hit_cap`: the length limit ended it, not the model."""

    ids: tuple[int, ...]
    score: np.float32
    hit_cap: bool = False


@dataclass(frozen=True)
class _Beam:
    """Running hypotheses, best first, and the row of the last step that each of them continues."""

    prefixes: list[tuple[int, ...]]
    scores: NDArray[np.float32]
    order: NDArray[np.int64]


def beam_search(model: StepModel, memory_frames: int, settings: BeamSettings) -> tuple[Hypothesis, ...]:
    """All hypotheses that ended, best first; none if all ended below the smallest length. `memory_frames`: the encoder's output frames."""
    max_length, minlenratio = settings.max_length(memory_frames), settings.minlenratio
    while True:
        min_length = -int(minlenratio) if minlenratio < 0 else int(minlenratio * memory_frames)
        ended = _search_once(model, max_length, min_length, settings)
        if ended or minlenratio < 0.1:
            break
        minlenratio = max(0.0, minlenratio - 0.1)
    if settings.normalize_length:
        return tuple(sorted(ended, key=lambda hypothesis: hypothesis.score / np.float32(len(hypothesis.ids) - 1), reverse=True))
    return tuple(sorted(ended, key=lambda hypothesis: hypothesis.score, reverse=True))


def beam_search_fixed(model: StepModel, tokens: int, settings: BeamSettings) -> tuple[Hypothesis, ...]:
    """Exactly `tokens` steps with a full beam: eos is never taken, so that the work does not depend on what the model says.

    Raises BadInput if `tokens` is below 1, or if the vocabulary has no room for the beam beside eos.
    """
    if tokens < 1:
        raise BadInput(f"a fixed number of tokens must be at least 1, got {tokens}")
    if settings.beam_size >= settings.vocabulary:
        raise BadInput(
            f"beam size must be below the vocabulary ({settings.vocabulary}) at a fixed number of tokens, got {settings.beam_size}"
        )
    model.start()
    beam = _first(settings)
    for position in range(tokens):
        beam = _extend(model, beam, position, settings, without_eos=True)
    return tuple(Hypothesis(prefix, score, hit_cap=True) for prefix, score in zip(beam.prefixes, beam.scores, strict=True))


def _search_once(model: StepModel, max_length: int, min_length: int, settings: BeamSettings) -> list[Hypothesis]:
    model.start()
    beam = _first(settings)
    ended: list[Hypothesis] = []
    for position in range(max_length):
        beam = _extend(model, beam, position, settings)
        beam, done = _part_ended(beam, settings.eos, last=position == max_length - 1)
        if position >= min_length:
            ended.extend(done)
        if (settings.maxlenratio == 0.0 and detect_end(ended, position)) or not beam.prefixes:
            break
    return ended


def _first(settings: BeamSettings) -> _Beam:
    return _Beam([(settings.sos,)], np.zeros(1, np.float32), np.zeros(1, np.int64))


def _extend(model: StepModel, beam: _Beam, position: int, settings: BeamSettings, without_eos: bool = False) -> _Beam:
    """One step: the best `beam_size` of all continuations of all running hypotheses."""
    tokens = np.array([prefix[-1] for prefix in beam.prefixes], np.int64)
    # A row's own best `beam_size` hold all that can be among the best of the whole; one more where eos is thrown out.
    scores, ids = model.step(tokens, position, beam.order, settings.beam_size + without_eos)
    totals = scores + np.float32(settings.length_bonus) + beam.scores[:, None]
    if without_eos:
        totals = np.where(ids == settings.eos, -np.inf, totals).astype(np.float32, copy=False)
    best = np.argsort(-totals, axis=None, kind="stable")[: settings.beam_size]
    rows = best // totals.shape[1]
    prefixes = [(*beam.prefixes[row], int(token)) for row, token in zip(rows, ids.reshape(-1)[best], strict=True)]
    return _Beam(prefixes, totals.reshape(-1)[best], rows)


def _part_ended(beam: _Beam, eos: int, last: bool) -> tuple[_Beam, list[Hypothesis]]:
    """The hypotheses that go on, and those that ended at this step (at the last position: all)."""
    if last:
        return _Beam([], beam.scores[:0], beam.order[:0]), [
            Hypothesis((*prefix, eos), score, hit_cap=prefix[-1] != eos) for prefix, score in zip(beam.prefixes, beam.scores, strict=True)
        ]
    ends = [prefix[-1] == eos for prefix in beam.prefixes]
    if not any(ends):
        return beam, []
    stay = [row for row, end in enumerate(ends) if not end]
    done = [Hypothesis(beam.prefixes[row], beam.scores[row]) for row, end in enumerate(ends) if end]
    return _Beam([beam.prefixes[row] for row in stay], beam.scores[stay], beam.order[stay]), done


def detect_end(ended: Sequence[Hypothesis], position: int) -> bool:
    """ESPnet's end_detect: the best hypotheses of the lengths position, position - 1, position - 2 are all 10 below the best of all."""
    if not ended:
        return False
    best = max(float(hypothesis.score) for hypothesis in ended)
    for length in range(position, position - _END_LENGTHS, -1):
        scores = [float(hypothesis.score) for hypothesis in ended if len(hypothesis.ids) == length]
        if not scores or not max(scores) - best < _END_SCORE:
            return False
    return True
