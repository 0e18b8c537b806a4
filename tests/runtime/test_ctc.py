"""CTC prefix scores: against the sum over all alignments, and against ESPnet's; windows; greedy decoding."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paredown.runtime.ctc import LOG_ZERO, CtcPrefixScorer, decode_greedily

BLANK = 0


def make_log_probs(seed: int, frames: int, tokens: int, sharpness: float, blank_bonus: float = 0.0) -> NDArray[np.float32]:
    logits = sharpness * np.random.default_rng(seed).standard_normal((frames, tokens))
    logits[:, BLANK] += blank_bonus
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def speak(log_probs: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    """The probability of every text: the sum over all ways through the frames that spell it."""
    texts: dict[tuple[int, ...], float] = {}
    frames, tokens = log_probs.shape
    for path in product(range(tokens), repeat=frames):
        text = tuple(token for token, _ in groupby(path) if token != BLANK)
        texts[text] = texts.get(text, 0.0) + float(np.exp(sum(log_probs[frame, token] for frame, token in enumerate(path))))
    return texts


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 6),
    tokens=st.integers(3, 5),
    sharpness=st.floats(0.1, 4.0),
    every=st.booleans(),
)
def test_a_score_is_the_sum_over_all_alignments(seed: int, frames: int, tokens: int, sharpness: float, every: bool) -> None:
    """Of all that begins with the prefix and a token; for eos: of the prefix and nothing more."""
    log_probs, eos = make_log_probs(seed, frames, tokens, sharpness), tokens - 1
    texts, rng = speak(log_probs), np.random.default_rng(seed)
    scorer, prefixes, summed = CtcPrefixScorer(log_probs, BLANK, eos), [()], np.zeros(1)
    for _ in range(frames):
        ids = None if every else np.array([rng.permutation(tokens) for _ in prefixes])
        candidates = np.tile(np.arange(tokens), (len(prefixes), 1)) if ids is None else ids
        scores = summed[:, None] + scorer.score(ids)
        for row, column in np.ndindex(scores.shape):
            prefix, token = prefixes[row], int(candidates[row, column])
            longer = (*prefix, token)
            begins = sum(chance for text, chance in texts.items() if text[: len(longer)] == longer)
            chance = texts.get(prefix, 0.0) if token == eos else 0.0 if token == BLANK else begins
            expected = np.log(chance) if chance > 1e-15 else None
            if expected is None:
                assert scores[row, column] < -30.0
            else:
                assert scores[row, column] == pytest.approx(expected, abs=1e-4)  # float32 sums of a few numbers below 100
        possible = np.argwhere((candidates != eos) & (candidates != BLANK) & (scores > -30.0))
        if not len(possible):
            return
        rows, columns = rng.permutation(possible)[:4].T
        prefixes = [(*prefixes[row], int(candidates[row, column])) for row, column in zip(rows, columns, strict=True)]
        summed = scores[rows, columns]
        scorer.advance(rows, columns)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 80),
    tokens=st.integers(3, 30),
    candidates=st.one_of(st.none(), st.integers(1, 30)),
    sharpness=st.floats(0.1, 8.0),
    blank_bonus=st.sampled_from([0.0, 4.0, 12.0]),
)
def test_scores_are_those_of_espnet(
    seed: int, frames: int, tokens: int, candidates: int | None, sharpness: float, blank_bonus: float
) -> None:
    torch = pytest.importorskip("torch")
    from espnet.nets.ctc_prefix_score import CTCPrefixScoreTH

    log_probs, eos = make_log_probs(seed, frames, tokens, sharpness, blank_bonus), tokens - 1
    rng = np.random.default_rng(seed)
    theirs = CTCPrefixScoreTH(torch.from_numpy(log_probs.copy())[None], torch.tensor([frames]), BLANK, eos)
    ours = CtcPrefixScorer(log_probs, BLANK, eos)
    prefixes, state = np.array([[eos]]), None
    for _ in range(min(frames, 12)):
        ids = None if candidates is None else np.array([rng.permutation(tokens)[:candidates] for _ in prefixes])
        full, (forward, prefix_scores, *rest, places) = theirs(
            torch.from_numpy(prefixes), state, None if ids is None else torch.from_numpy(ids)
        )
        expected, found = full.numpy() if ids is None else np.take_along_axis(full.numpy(), ids, axis=1), ours.score(ids)
        # ESPnet's recurrences run in float32 over all frames. Where a score is -1e10 its last bit is worth 1024.
        np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-6)
        tokens_of = np.broadcast_to(np.arange(tokens), found.shape) if ids is None else ids
        possible = np.argwhere((tokens_of != eos) & (tokens_of != BLANK) & (found > -1e8))
        if not len(possible):
            return
        rows, columns = rng.permutation(possible)[:5].T
        chosen = tokens_of[rows, columns]
        ours.advance(rows, columns)
        place = torch.from_numpy(chosen) if places is None else places[rows, chosen]
        state = (forward[:, :, rows, place], prefix_scores[rows, chosen][:, None].expand(-1, tokens), *rest)
        prefixes = np.concatenate([prefixes[rows], chosen[:, None]], axis=1)


def run(scorer: CtcPrefixScorer, tokens: int, steps: int, seed: int) -> list[NDArray[np.float32]]:
    """Scores of all tokens at every step of a walk over five hypotheses that is the same for all scorers."""
    rng, scores = np.random.default_rng(seed), []
    for _ in range(steps):
        scores.append(scorer.score(None))
        scorer.advance(rng.integers(0, len(scores[-1]), 5), rng.integers(1, tokens - 1, 5))
    return scores


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 60), window=st.integers(1, 80), steps=st.integers(1, 70))
def test_a_window_as_long_as_the_utterance_is_exact(seed: int, frames: int, window: int, steps: int) -> None:
    log_probs = make_log_probs(seed, frames, 9, 2.0)
    exact, narrow = (run(CtcPrefixScorer(log_probs, BLANK, 8, size), 9, steps, seed) for size in (None, window))
    for expected, found in zip(exact, narrow, strict=True):
        assert np.isfinite(found).all()
        if window >= frames:
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(narrow[0], exact[0])  # the first token is looked for everywhere


def make_speech(spoken: list[int], pause_frames: int, tokens: int) -> NDArray[np.float32]:
    """Blank but for one frame a token, nearly sure of itself everywhere; `pause_frames` between tokens."""
    log_probs = np.full(((len(spoken) + 1) * pause_frames, tokens), -12.0)
    best = np.zeros(len(log_probs), np.int64)
    best[pause_frames::pause_frames] = spoken
    log_probs[np.arange(len(best)), best] = 0.0
    return (log_probs - np.logaddexp.reduce(log_probs, axis=1, keepdims=True)).astype(np.float32)


def follow(scorer: CtcPrefixScorer, spoken: list[int]) -> list[float]:
    scores = []
    for token in spoken:
        scores.append(float(scorer.score(None)[0, token]))
        scorer.advance(np.zeros(1, np.int64), np.array([token]))
    return scores


def test_a_window_sees_what_comes_within_three_quarters_of_it() -> None:
    spoken = [1, 5, 3, 3, 4, 2, 6]
    log_probs = make_speech(spoken, 20, 9)
    exact = follow(CtcPrefixScorer(log_probs, BLANK, 8), spoken)
    assert all(score > -0.1 for score in exact)
    np.testing.assert_allclose(follow(CtcPrefixScorer(log_probs, BLANK, 8, window=32), spoken), exact, atol=1e-3)
    narrow = follow(CtcPrefixScorer(log_probs, BLANK, 8, window=16), spoken)
    assert narrow[0] == exact[0]
    assert all(score < -5.0 for score in narrow[1:])


def test_behind_the_window_a_hypothesis_hears_blanks() -> None:
    spoken = [1, 5, 3, 3, 4, 2, 6]
    log_probs = make_speech(spoken, 20, 9)
    for said in (2, 7):
        ends = []
        for window in (None, 32):
            scorer = CtcPrefixScorer(log_probs, BLANK, 8, window)
            follow(scorer, spoken[:said])
            ends.append(float(scorer.score(None)[0, 8]))
            assert window is None or scorer._log_n.shape[1] <= window  # and no more than the window is computed
        assert ends[1] == pytest.approx(ends[0], abs=0.5)
        assert (ends[0] < -50.0) == (said == 2)  # five tokens that were said and not heard cost about 12 each; all said: nothing


def test_an_hour_of_frames_neither_underflows_nor_overflows() -> None:
    log_probs = make_log_probs(0, 40_000, 5, 9.0)
    scorer = CtcPrefixScorer(log_probs, BLANK, 4)
    for scores in run(scorer, 5, 6, seed=0):
        wanted = scores[:, 1:]
        assert np.isfinite(wanted).all()
        assert (wanted < 1e-3).all()
        assert (wanted > -1e6).all()


def test_more_tokens_than_frames_are_impossible_and_no_error() -> None:
    scorer = CtcPrefixScorer(make_log_probs(0, 3, 5, 1.0), BLANK, 4)
    added = follow(scorer, [1, 2, 3, 1, 2, 3, 1])
    assert all(score > -20.0 for score in added[:3])
    assert added[3] == pytest.approx(LOG_ZERO)
    assert added[4:] == [0.0, 0.0, 0.0]  # as impossible as before
    assert np.isfinite(scorer.score(None)).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 40), tokens=st.integers(2, 6), sharpness=st.floats(0.1, 5.0))
def test_greedy_decoding_is_the_argmax_without_repeats_and_blanks(seed: int, frames: int, tokens: int, sharpness: float) -> None:
    torch = pytest.importorskip("torch")
    log_probs = make_log_probs(seed, frames, tokens, sharpness, blank_bonus=1.0)
    best = torch.from_numpy(log_probs).max(dim=1)
    ids, score = decode_greedily(log_probs, BLANK)
    assert list(ids) == [token for token, _ in groupby(best.indices.tolist()) if token != BLANK]
    assert float(score) == pytest.approx(float(best.values.sum()), rel=1e-5)
