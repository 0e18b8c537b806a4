"""Beam search, token for token the one of ESPnet: `BatchBeamSearch` with the scorers of `asr_inference` and `st_inference`.

Scorers: decoder (weight 1 - `ctc_weight`), CTC prefix score (`ctc_weight`), length bonus. What is mirrored, because results depend on it:
- scores add up in float32, in the order decoder + bonus + CTC + score of the prefix;
- beside the decoder the CTC scores only the 1.5 `beam_size` tokens that the decoder likes best after each hypothesis ("pre-beam"), and eos;
- at weight 1 the CTC scores all tokens, and the decoder is not asked at all;
- the best `beam_size` of all (hypothesis, token) pairs go on; one that took eos then leaves the beam, which gets smaller;
- at the last position eos is put behind every hypothesis, without a score, also behind one that has just taken eos itself;
- with `maxlenratio == 0` the search ends when hypotheses of three successive lengths were all 10 below the best one;
- if nothing ended, everything is repeated with a `minlenratio` smaller by 0.1 (ratios whose length no hypothesis can have are skipped).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.numbers import is_whole

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

_PRE_BEAM_RATIO = 1.5
_END_LENGTHS, _END_SCORE = 3, float(np.log(1 * np.exp(-10)))  # M and D_end of ESPnet's end_detect
_RATIO_STEP = 0.1  # by which ESPnet lowers `minlenratio`
_LARGEST_RATIO, _LARGEST_BONUS = 1e6, 1e3
_FEW = 2_000  # numbers that are sorted faster than they are partitioned


class StepModel(Protocol):
    """A decoder that scores one more token of every hypothesis and keeps its own caches."""

    def start(self) -> None:
        """Forget the caches: the next step is the first."""
        ...

    def step(self, tokens: Ids, position: int, order: Ids, k: int) -> tuple[Floats, Ids]:
        """Log-probabilities and ids [beam, k] of the k best next tokens, best first.

        `tokens` [beam] are the newest tokens, at `position`; `order` [beam]: hypothesis i continues row `order[i]` of the step before.
        """
        ...

    def log_probs_of(self, token: int) -> Floats:
        """Log-probability [beam] of one token at the step before; asked for eos where a CTC takes part."""
        ...


class PrefixScorer(Protocol):
    """A scorer of given tokens (`paredown.runtime.ctc.CtcPrefixScorer`)."""

    def start(self) -> None:
        """Go back to the empty prefix."""
        ...

    def score(self, ids: Ids | None) -> Floats:
        """What tokens [beam, k] (None: all tokens) add to the score of each hypothesis, [beam, k]."""
        ...

    def advance(self, rows: Ids, columns: Ids) -> None:
        """Hypothesis i of the beam is now row `rows[i]` and its token of column `columns[i]`, as `score` was asked."""
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
    ctc_weight: float = 0.0

    def __post_init__(self) -> None:
        if not is_whole(self.beam_size) or not 1 <= self.beam_size <= self.vocabulary:
            raise BadInput(f"beam size must lie in [1, {self.vocabulary}] (the vocabulary), got {self.beam_size!r}")
        if not (0 <= self.sos < self.vocabulary and 0 <= self.eos < self.vocabulary):
            raise BadInput(f"sos and eos ids must lie in [0, {self.vocabulary - 1}], got {self.sos} and {self.eos}")
        for name in ("maxlenratio", "minlenratio", "length_bonus"):
            if not isfinite(getattr(self, name)):
                raise BadInput(f"{name} must be a finite number, got {getattr(self, name)}")
        for name, most in (("maxlenratio", _LARGEST_RATIO), ("minlenratio", _LARGEST_RATIO), ("length_bonus", _LARGEST_BONUS)):
            if abs(getattr(self, name)) > most:
                raise BadInput(f"{name} must lie within {most:g} of 0, got {getattr(self, name):g}")
        if -1 < self.maxlenratio < 0:
            raise BadInput(f"maxlenratio must be 0, a share above 0, or at most -1 (a number of tokens), got {self.maxlenratio}")
        if not 0 <= self.ctc_weight <= 1:
            raise BadInput(f"CTC weight must lie in [0, 1], got {self.ctc_weight}")

    @property
    def candidates(self) -> int:
        """How many tokens the decoder proposes after each hypothesis. Its best `beam_size` hold all that can be among the best of all."""
        return self.beam_size if self.ctc_weight == 0 else min(int(_PRE_BEAM_RATIO * self.beam_size), self.vocabulary)

    def max_length(self, memory_frames: int) -> int:
        """Most tokens of a hypothesis."""
        if self.maxlenratio == 0:
            return memory_frames
        return -int(self.maxlenratio) if self.maxlenratio < 0 else max(1, int(self.maxlenratio * memory_frames))

    def reachable(self, minlenratio: float, memory_frames: int) -> float:
        """The first of `minlenratio`, 0.1 less, … (as ESPnet subtracts) whose smallest length a hypothesis can have, or the last one."""
        most = self.max_length(memory_frames)
        far = most / memory_frames + 1.0
        while minlenratio > far:
            minlenratio -= _RATIO_STEP
        while minlenratio >= _RATIO_STEP and int(minlenratio * memory_frames) >= most:
            minlenratio = max(0.0, minlenratio - _RATIO_STEP)
        return minlenratio


@dataclass(frozen=True)
class Hypothesis:
    """Token ids with sos in front and, when it ended, eos behind. `hit_cap`: the length limit ended it, not the model."""

    ids: tuple[int, ...]
    score: np.float32
    hit_cap: bool = False


class Beam:
    """The running hypotheses, best first.

    `prefixes`: their ids, sos in front; `scores` [beam]; `tokens` [beam], the newest ones; `order` [beam]: the row of the step before that
    each continues. `without_eos`: no hypothesis ever ends.
    """

    def __init__(self, settings: BeamSettings, ctc: PrefixScorer | None = None, without_eos: bool = False) -> None:
        if ctc is None and settings.ctc_weight > 0:
            raise ValueError(f"a search with a CTC weight needs a CTC scorer, got none for {settings.ctc_weight}")
        if ctc is not None:
            ctc.start()
        self.settings, self._ctc, self._without_eos = settings, ctc if settings.ctc_weight > 0 else None, without_eos
        self.prefixes: list[tuple[int, ...]] = [(settings.sos,)]
        self.scores: Floats = np.zeros(1, np.float32)
        self.tokens: Ids = np.full(1, settings.sos)
        self.order: Ids = np.zeros(1, np.int64)
        self._columns = self.order
        self._weights = np.float32(1.0 - settings.ctc_weight), np.float32(settings.ctc_weight)
        self._bonus = np.float32(settings.length_bonus)

    @property
    def candidates(self) -> int:
        """How many tokens the decoder proposes after each hypothesis; one more where eos is thrown out."""
        return min(self.settings.candidates + self._without_eos, self.settings.vocabulary)

    def extend(self, log_probs: Floats | None, ids: Ids | None) -> None:
        """Go on with the best of the decoder's candidates, both [beam, k]; None where the decoder is not asked: all tokens."""
        totals = self._add_up(log_probs, ids)
        if self._without_eos:
            tokens = np.arange(self.settings.vocabulary) if ids is None else ids
            struck = tokens == self.settings.eos
            if ids is not None:  # with a CTC more candidates would change the result, so it stays at as many
                struck |= np.cumsum(~struck, axis=1) > self.settings.candidates
            totals = np.where(struck, np.float32(-np.inf), totals)
        best = _find_best(totals.ravel(), self.settings.beam_size)
        self.scores = totals.ravel()[best]
        self.order, self._columns = np.divmod(best, totals.shape[1])
        self.tokens = self._columns if ids is None else ids.ravel()[best]
        prefixes = self.prefixes
        self.prefixes = [(*prefixes[row], token) for row, token in zip(self.order.tolist(), self.tokens.tolist(), strict=True)]

    def keep(self, rows: list[int]) -> None:
        """Only these go on."""
        self.prefixes = [self.prefixes[row] for row in rows]
        self.scores, self.tokens = self.scores[rows], self.tokens[rows]
        self.order, self._columns = self.order[rows], self._columns[rows]

    def _add_up(self, log_probs: Floats | None, ids: Ids | None) -> Floats:
        """Scores [beam, k] of all continuations."""
        decoder_weight, ctc_weight = self._weights
        partial: Floats | np.float32 = self._bonus
        if log_probs is not None:
            partial = (log_probs if self._ctc is None else decoder_weight * log_probs) + self._bonus
        if self._ctc is not None:
            if len(self.prefixes[0]) > 1:
                self._ctc.advance(self.order, self._columns)
            partial = partial + ctc_weight * self._ctc.score(ids)
        return np.asarray(partial + self.scores[:, None], np.float32)


class Search:
    """The search for one utterance, step by step: `beam` goes on from `position`, until it is `done`; `ended` are all that ended."""

    def __init__(self, settings: BeamSettings, memory_frames: int, minlenratio: float, ctc: PrefixScorer | None = None) -> None:
        minlenratio = settings.reachable(minlenratio, memory_frames)
        self._settings, self._memory_frames, self._minlenratio, self._ctc = settings, memory_frames, minlenratio, ctc
        self._max_length = settings.max_length(memory_frames)
        self._min_length = -int(minlenratio) if minlenratio < 0 else int(minlenratio * memory_frames)
        self.beam, self.position = Beam(settings, ctc), 0
        self.ended: list[Hypothesis] = []
        self._best_of_length: dict[int, float] = {}

    @property
    def done(self) -> bool:
        """Whether nothing better is to come."""
        detected = self._settings.maxlenratio == 0.0 and detect_end(self._best_of_length, self.position - 1)
        return detected or not self.beam.prefixes

    def extend(self, log_probs: Floats | None, ids: Ids | None) -> None:
        """One step with the decoder's candidates (see `propose`), both [beam, k]."""
        self.beam.extend(log_probs, ids)
        ended = self._part_ended(last=self.position == self._max_length - 1)
        if self.position >= self._min_length:
            self.ended.extend(ended)
            for hypothesis in ended:
                length, score = len(hypothesis.ids), float(hypothesis.score)
                self._best_of_length[length] = max(score, self._best_of_length.get(length, score))
        self.position += 1

    def again(self) -> "Search | None":
        """The search to go on with behind this one, which is done: with a smaller `minlenratio` if nothing ended, else none."""
        if self.ended or self._minlenratio < _RATIO_STEP:
            return None
        return Search(self._settings, self._memory_frames, max(0.0, self._minlenratio - _RATIO_STEP), self._ctc)

    def ranked(self) -> tuple[Hypothesis, ...]:
        """All that ended, best first."""
        if self._settings.normalize_length:
            return tuple(sorted(self.ended, key=lambda hypothesis: hypothesis.score / np.float32(len(hypothesis.ids) - 1), reverse=True))
        return tuple(sorted(self.ended, key=lambda hypothesis: hypothesis.score, reverse=True))

    def _part_ended(self, last: bool) -> list[Hypothesis]:
        """Take those that ended at this step out of the beam (at the last position: all)."""
        beam, eos = self.beam, self._settings.eos
        if last:
            ended = [
                Hypothesis((*prefix, eos), score, hit_cap=prefix[-1] != eos)
                for prefix, score in zip(beam.prefixes, beam.scores, strict=True)
            ]
            beam.keep([])
            return ended
        ends = [row for row, prefix in enumerate(beam.prefixes) if prefix[-1] == eos]
        ended = [Hypothesis(beam.prefixes[row], beam.scores[row]) for row in ends]
        if ends:
            beam.keep([row for row, prefix in enumerate(beam.prefixes) if prefix[-1] != eos])
        return ended


def beam_search(
    model: StepModel | None, memory_frames: int, settings: BeamSettings, ctc: PrefixScorer | None = None
) -> tuple[Hypothesis, ...]:
    """All hypotheses that ended, best first (the n-best list); none if all ended below the smallest length.

    `memory_frames`: the encoder's output frames. `ctc` takes part with `settings.ctc_weight`; at weight 1 no `model` is needed.
    """
    attempt = Search(settings, memory_frames, settings.minlenratio, ctc)
    while True:
        if model is not None:
            model.start()
        while not attempt.done:
            attempt.extend(*propose(model, attempt.beam, attempt.position))
        again = attempt.again()
        if again is None:
            return attempt.ranked()
        attempt = again


def beam_search_fixed(
    model: StepModel | None, tokens: int, settings: BeamSettings, ctc: PrefixScorer | None = None
) -> tuple[Hypothesis, ...]:
    """Exactly `tokens` steps with a full beam: eos is never taken, so that the work does not depend on what the model says.

    Raises BadInput if `tokens` is below 1, or if the vocabulary has no room for the beam beside eos.
    """
    if tokens < 1:
        raise BadInput(f"a fixed number of tokens must be at least 1, got {tokens}")
    if settings.beam_size >= settings.vocabulary:
        raise BadInput(
            f"beam size must be below the vocabulary ({settings.vocabulary}) at a fixed number of tokens, got {settings.beam_size}"
        )
    if model is not None:
        model.start()
    beam = Beam(settings, ctc, without_eos=True)
    for position in range(tokens):
        beam.extend(*propose(model, beam, position))
    return tuple(Hypothesis(prefix, score, hit_cap=True) for prefix, score in zip(beam.prefixes, beam.scores, strict=True))


def propose(model: StepModel | None, beam: Beam, position: int) -> tuple[Floats, Ids] | tuple[None, None]:
    """The candidates of the step at `position`: log-probabilities and ids [beam, k] of the decoder's best tokens; none at CTC weight 1.

    Where a CTC takes part eos is always among them, whatever the decoder thinks of it.
    """
    settings = beam.settings
    if settings.ctc_weight == 1.0:
        return None, None
    if model is None:
        raise ValueError(f"a search at a CTC weight below 1 needs a decoder, got none for {settings.ctc_weight}")
    log_probs, ids = model.step(beam.tokens, position, beam.order, beam.candidates)
    if settings.ctc_weight > 0 and beam.candidates < settings.vocabulary:
        return add_eos(log_probs, ids, model.log_probs_of(settings.eos), settings.eos)
    return log_probs, ids


def add_eos(log_probs: Floats, ids: Ids, log_probs_of_eos: Floats, eos: int) -> tuple[Floats, Ids]:
    """Candidates [beam, k] with eos as one more column; where it was among them already it is struck out (log-probability -inf)."""
    struck = np.where(ids == eos, np.float32(-np.inf), log_probs)
    column = np.full((len(ids), 1), eos)
    return np.concatenate([struck, log_probs_of_eos[:, None]], axis=1), np.concatenate([ids, column], axis=1)


def detect_end(best_of_length: Mapping[int, float], position: int) -> bool:
    """ESPnet's end_detect: the best hypotheses of the lengths position, position - 1, position - 2 are all 10 below the best of all.

    `best_of_length`: the best score of the hypotheses that ended, by their number of ids.
    """
    if not best_of_length:
        return False
    best = max(best_of_length.values())
    lengths = range(position, position - _END_LENGTHS, -1)
    return all(length in best_of_length and best_of_length[length] - best < _END_SCORE for length in lengths)


def _find_best(totals: Floats, count: int) -> Ids:
    """Indices of the `count` greatest of `totals`, greatest first; of equal ones among few the first comes first."""
    if totals.size <= _FEW:
        return np.argsort(-totals, kind="stable")[:count]
    best = np.argpartition(totals, -count)[-count:]
    return best[np.argsort(-totals[best], kind="stable")]
