"""CTC over an utterance: prefix scores for joint decoding, and greedy decoding.

A prefix is scored with forward variables (Watanabe et al., "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition", 2017,
Algorithm 2): r_n[t] and r_b[t] are the probabilities that frames 0..t spell exactly the prefix and end in its last token or in a blank.
With phi[t] = r_n[t] + r_b[t] (r_b[t] alone where the token c repeats the last one),

    psi = sum over t of phi[t-1] p[t, c]                probability of all that begins with the prefix and c
    r_n'[t] = (r_n'[t-1] + phi[t-1]) p[t, c]            forward variables of the longer prefix
    r_b'[t] = (r_b'[t-1] + r_n'[t-1]) p[t, blank]

ESPnet (`espnet.nets.ctc_prefix_score.CTCPrefixScoreTH`) runs the recurrences frame by frame for every candidate c. Here no step has a
loop in Python, and the scores are the same:
- psi needs no recurrence, it is a product of phi and posteriors; so only candidates that are *chosen* get forward variables;
- a recurrence is solved in closed form, in logarithms: with P the cumulative sum of log p, log r_n'[t] is P[t] + log of the sum over
  s <= t of exp(log phi[s-1] - P[s-1]), one `logaddexp.accumulate` over the frames;
- frame -1 is one as well: there the empty prefix has probability 1, which makes the first token a token like others;
- n tokens take n frames, so the variables of a prefix of n tokens begin at frame n - 1.

Forward variables are float64; scores that are added up are float32, as all of ESPnet's. ESPnet's log 0 is -1e10, and so it is here.
"""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

LOG_ZERO = -1e10
_LIFT = 60.0  # float32 reaches from e^-103 to e^88: posteriors times e^60 reach down to e^-163, and any number of them can be added up
_SHARE_BEHIND = 4  # of the window; tokens are to come, so it looks ahead


class CtcPrefixScorer:
    """Scores the continuations of all hypotheses of one utterance at once (`paredown.runtime.beam.PrefixScorer`).

    `window`: look only at so many frames around the place where the hypotheses are, which spares time on long utterances and is an
    approximation; None: at all frames. A quarter of a prefix's window lies before the frame at which its newest token most probably began,
    the rest after it; the window that is computed spans those of all hypotheses. What a prefix may have been before it is forgotten, and
    after it a prefix hears blanks only: a token that comes later, after a long pause, gets (nearly) no score. A window as long as the
    utterance, or longer, changes nothing. One of 50 frames covers pauses of 1.5 s at 40 ms a frame.
    """

    def __init__(self, log_probs: Floats, blank: int, eos: int, window: int | None = None) -> None:
        """`log_probs` [frames, tokens]: log posteriors of the utterance, as the CTC graph of a bundle gives them."""
        self._frames = len(log_probs)
        self._log_probs = np.ascontiguousarray(log_probs.T)  # [tokens, frames]
        self._posteriors: Floats = np.exp(self._log_probs + np.float32(_LIFT))
        # Log-probability of blanks alone up to frame t, at t + 1.
        self._blanks: Doubles = np.concatenate([[0.0], np.cumsum(self._log_probs[blank], dtype=np.float64)])
        self._blank, self._eos, self._window = blank, eos, window
        self.start()

    def start(self) -> None:
        """Go back to the empty prefix."""
        self._first, self._end = -1, self._frames  # the forward variables [beam, end - first], in logarithms, are of these frames
        self._log_b: Doubles = self._blanks[None]
        self._log_n: Doubles = np.full_like(self._log_b, LOG_ZERO)
        self._newest: Ids = np.full(1, -1)  # last tokens [beam]; -1: none
        self._prefix_scores: Floats = np.zeros(1, np.float32)  # log psi of the prefixes [beam]

    def score(self, ids: Ids | None) -> Floats:
        """What the tokens `ids` [beam, k] (None: all tokens) add to the log-probability of their prefixes, float32 [beam, k].

        For eos that is the probability that the prefix is all that is said; blank is no token, it scores -1e10.
        """
        self._ids, self._sum = ids, _add(self._log_n, self._log_b)
        tokens = np.arange(len(self._log_probs))[None] if ids is None else ids
        scores = self._score_tokens(tokens, every=ids is None)
        scores = np.where(tokens == self._blank, LOG_ZERO, scores)
        self._scores: Floats = np.where(tokens == self._eos, self._score_end()[:, None], scores).astype(np.float32)
        return self._scores - self._prefix_scores[:, None]

    def advance(self, rows: Ids, columns: Ids) -> None:
        """Go on with tokens that were scored: hypothesis i is prefix `rows[i]` and its token in column `columns[i]`, both [beam]."""
        tokens = columns if self._ids is None else self._ids[rows, columns]
        self._prefix_scores = self._scores[rows, columns]
        repeats = tokens == self._newest[rows]
        log_phi = np.where(repeats[:, None], self._log_b[rows], self._sum[rows])
        begin, end = self._place(log_phi, tokens)
        self._extend(self._lengthen(log_phi, self._sum[rows, -1:], end), tokens, begin, end)
        self._newest = tokens

    def _score_tokens(self, tokens: Ids, every: bool) -> Doubles:
        """log psi [beam, k] of `tokens` [beam, k], or of `every` token [1, all]."""
        start = min(self._first + 1, self._frames)
        frames = slice(start, min(self._end + 1, self._frames))  # of the tokens; phi is of the frames before
        log_phi, log_b = (variables[:, : frames.stop - start] for variables in (self._sum, self._log_b))
        peak = log_phi.max(axis=1, initial=LOG_ZERO, keepdims=True)
        phi, phi_of_repeats = (np.exp((logarithms - peak).astype(np.float32)) for logarithms in (log_phi, log_b))
        posteriors = self._posteriors[:, frames]
        sums = phi @ posteriors.T if every else np.matmul(posteriors[tokens], phi[:, :, None])[:, :, 0]
        repeats = np.vecdot(phi_of_repeats, posteriors[self._newest])
        sums = np.where(tokens == self._newest[:, None], repeats[:, None], sums)
        logarithms: Doubles = np.log(sums, out=np.full(sums.shape, LOG_ZERO), where=sums > 0.0)
        scores: Doubles = np.maximum(logarithms + (peak - _LIFT), LOG_ZERO)
        return scores

    def _score_end(self) -> Doubles:
        """Log-probability [beam] that the prefix is all; behind the window come blanks."""
        if not self._sum.shape[1]:
            return np.full(len(self._sum), LOG_ZERO)
        rest: np.float64 = self._blanks[-1] - self._blanks[self._end]
        return self._sum[:, -1] + rest

    def _place(self, log_phi: Doubles, tokens: Ids) -> tuple[int, int]:
        """The frames [begin, end) that the forward variables of prefixes with these new tokens will have."""
        start, window = min(self._first + 1, self._frames), self._window
        if window is None or window >= self._frames:
            return start, self._frames
        stop = min(self._end + 1, self._frames)
        begins = log_phi[:, : stop - start] + self._log_probs[tokens, start:stop]
        heard = start + begins.argmax(axis=1) if stop > start else np.full(1, start)
        firsts = np.clip(heard - window // _SHARE_BEHIND, 0, self._frames - window)
        return max(start, int(firsts.min())), int(firsts.max()) + window

    def _lengthen(self, log_phi: Doubles, log_end: Doubles, end: int) -> Doubles:
        """phi [beam, frames] up to frame end - 2, with blanks alone where it has to be made longer; `log_end` [beam, 1] is its end."""
        if end <= self._end + 1:
            return log_phi
        return np.concatenate([log_phi, log_end + (self._blanks[self._end + 1 : end] - self._blanks[self._end])], axis=1)

    def _extend(self, log_phi: Doubles, tokens: Ids, begin: int, end: int) -> None:
        """Forward variables of the longer prefixes: computed from the first frame that is known of the shorter ones, kept from `begin`."""
        start = min(self._first + 1, self._frames)
        steps = self._log_probs[tokens, start:end]
        spoken: Doubles = np.cumsum(steps, axis=1, dtype=np.float64)
        sums = np.logaddexp.accumulate(log_phi[:, : end - start] - (spoken - steps), axis=1)
        log_n: Doubles = np.maximum(spoken + sums, LOG_ZERO)
        blanks = self._blanks[start + 1 : end + 1]
        log_b: Doubles = np.full_like(log_n, LOG_ZERO)
        np.maximum(np.logaddexp.accumulate(log_n[:, :-1] - blanks[:-1], axis=1) + blanks[1:], LOG_ZERO, out=log_b[:, 1:])
        self._first, self._end = begin, end
        self._log_n, self._log_b = log_n[:, begin - start :], log_b[:, begin - start :]


def _add(first: Doubles, second: Doubles) -> Doubles:
    """`np.logaddexp`, at a third of its time."""
    total: Doubles = np.maximum(first, second) + np.log1p(np.exp(-np.abs(first - second)))
    return total


def decode_greedily(log_probs: Floats, blank: int) -> tuple[tuple[int, ...], np.float32]:
    """The best token of every frame of `log_probs` [frames, tokens], repeats collapsed, blanks removed; and its log-probability."""
    best = log_probs.argmax(axis=1)
    score = np.take_along_axis(log_probs, best[:, None], axis=1).sum(dtype=np.float32)
    return tuple(token for token, _ in groupby(best.tolist()) if token != blank), np.float32(score)
