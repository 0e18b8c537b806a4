"""Beam search against ESPnet's own BatchBeamSearch on random decoders, token for token."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paredown.errors import BadInput
from paredown.runtime.beam import BeamSettings, beam_search, beam_search_fixed, detect_end
from tests.runtime.espnet_search import EspnetSteps, plain, search_espnet

VOCABULARY, EOS = 20, 19


def make_decoder(seed: int, eos_bonus: float, sharpness: float) -> tuple[object, object]:
    """A random ESPnet decoder whose posteriors are sharpened and whose eos is made likelier, and a random encoder output."""
    torch = pytest.importorskip("torch")
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

    torch.manual_seed(seed)
    decoder = TransformerDecoder(VOCABULARY, 16, attention_heads=2, linear_units=24, num_blocks=2).eval()
    with torch.no_grad():
        decoder.output_layer.weight *= sharpness
        decoder.output_layer.bias[EOS] += eos_bonus
    return decoder, torch.randn(int(torch.randint(8, 30, ())), 16)


CASES = [
    (seed, beam_size, maxlenratio, minlenratio, length_bonus, normalize_length)
    for seed, (beam_size, maxlenratio, minlenratio, length_bonus, normalize_length) in enumerate(
        [
            *((beam, ratio, 0.0, bonus, False) for beam in (1, 3, 10) for ratio in (0.0, 0.5, -12.0) for bonus in (0.0, 0.3)),
            *((beam, 0.0, 0.25, bonus, True) for beam in (1, 3, 10) for bonus in (0.0, 0.3)),
            *((beam, 0.5, -3.0, 0.0, True) for beam in (1, 3, 20)),
            *((beam, -12.0, 0.9, 0.3, False) for beam in (1, 3, 10)),
        ]
    )
]


@pytest.mark.parametrize("eos_bonus", [0.0, 3.0])
def test_hypotheses_and_scores_are_those_of_espnet(eos_bonus: float) -> None:
    lengths, shrunk, repeated, stopped_early, capped = set(), 0, 0, 0, 0
    for seed, beam_size, maxlenratio, minlenratio, length_bonus, normalize_length in CASES:
        decoder, memory = make_decoder(seed, eos_bonus, sharpness=1.0 + 2.0 * (seed % 3))
        settings = BeamSettings(beam_size, VOCABULARY, EOS, EOS, maxlenratio, minlenratio, length_bonus, normalize_length)
        model = EspnetSteps(decoder, memory)
        found = beam_search(model, len(memory), settings)
        # The same decoder computes both in batches of the same size, so nothing but the search could make a difference.
        assert plain(found) == search_espnet(decoder, memory, settings), f"seed {seed}: {settings}"
        lengths |= {len(hypothesis.ids) for hypothesis in found}
        capped += any(hypothesis.hit_cap for hypothesis in found)
        shrunk += any(later < earlier for earlier, later in zip(model.batches[1:], model.batches[2:], strict=False))
        repeated += model.starts > 1 or settings.reachable(minlenratio, len(memory)) < minlenratio  # ESPnet searches again for both
        stopped_early += maxlenratio == 0.0 and len(model.batches) < len(memory)
    # The cases reach what they are there for: ends of many lengths, beams that shrink, retries, early ends and length limits.
    assert len(lengths) > 10
    assert min(shrunk, repeated, stopped_early, capped) >= 1


def best_of_length(lengths_and_scores: list[tuple[int, float]]) -> dict[int, float]:
    best: dict[int, float] = {}
    for length, score in lengths_and_scores:
        best[length] = max(score, best.get(length, score))
    return best


@given(
    ended=st.lists(st.tuples(st.integers(2, 9), st.sampled_from([-1.0, -5.0, -11.0, -11.5, -16.0, -30.0])), max_size=12),
    position=st.integers(0, 10),
)
def test_end_is_detected_where_espnet_detects_it(ended: list[tuple[int, float]], position: int) -> None:
    pytest.importorskip("torch")
    from espnet.nets.e2e_asr_common import end_detect

    theirs = end_detect([{"score": score, "yseq": [0] * length} for length, score in ended], position)
    assert detect_end(best_of_length(ended), position) == theirs


def test_end_needs_three_lengths_far_below_the_best() -> None:
    far = [(7, -12.0), (8, -12.0), (9, -12.0)]
    assert detect_end(best_of_length([(3, -1.0), *far]), 9)
    assert not detect_end(best_of_length([(3, -2.5), *far]), 9)  # only 9.5 below
    assert not detect_end(best_of_length([(3, -1.0), *far[1:]]), 9)
    assert not detect_end(best_of_length([(3, -1.0), *far]), 8)


class UnigramSteps:
    """Every token has the same log-probability at every step, whatever came before; counts searches, and the hypotheses of each step."""

    def __init__(self, log_probs: list[float]) -> None:
        self.log_probs, self.batches, self.starts = np.array(log_probs, np.float32), [], 0

    def start(self) -> None:
        self.batches, self.starts = [], self.starts + 1

    def step(
        self, tokens: NDArray[np.int64], position: int, order: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        assert position == len(self.batches)
        assert len(order) == len(tokens)
        assert order.max() < ([1, *self.batches])[position]
        self.batches.append(len(tokens))
        ids = np.argsort(-self.log_probs, kind="stable")[:k]
        return np.tile(self.log_probs[ids], (len(tokens), 1)), np.tile(ids, (len(tokens), 1))


def test_a_fixed_number_of_tokens_runs_every_step_with_the_full_beam() -> None:
    model = UnigramSteps([-3.0, -2.0, -4.0, -0.1])  # eos, id 3, is likeliest: an ordinary search ends at once
    settings = BeamSettings(beam_size=3, vocabulary=4, sos=3, eos=3)
    found = beam_search_fixed(model, 6, settings)
    assert model.batches == [1, 3, 3, 3, 3, 3]
    assert [hypothesis.ids for hypothesis in found[:1]] == [(3, 1, 1, 1, 1, 1, 1)]
    assert all(len(hypothesis.ids) == 7 and 3 not in hypothesis.ids[1:] for hypothesis in found)
    assert [float(hypothesis.score) for hypothesis in found] == [-12.0, -13.0, -13.0]
    assert [hypothesis.ids for hypothesis in beam_search_fixed(model, 1, settings)] == [(3, 1), (3, 0), (3, 2)]


def test_a_fixed_number_of_tokens_is_the_ordinary_search_where_eos_is_out_of_reach() -> None:
    decoder, memory = make_decoder(3, eos_bonus=-60.0, sharpness=3.0)
    fixed = beam_search_fixed(EspnetSteps(decoder, memory), 7, BeamSettings(4, VOCABULARY, EOS, EOS))
    ordinary = beam_search(EspnetSteps(decoder, memory), len(memory), BeamSettings(4, VOCABULARY, EOS, EOS, maxlenratio=-7))
    assert [(*hypothesis.ids, EOS) for hypothesis in fixed] == [hypothesis.ids for hypothesis in ordinary]
    assert [hypothesis.score for hypothesis in fixed] == [hypothesis.score for hypothesis in ordinary]
    assert all(hypothesis.hit_cap for hypothesis in ordinary)


def test_only_a_hypothesis_cut_off_by_the_limit_hit_the_cap() -> None:
    at_once = beam_search(UnigramSteps([-3.0, -2.0, -0.2]), 5, BeamSettings(1, 3, sos=2, eos=2))
    assert [(hypothesis.ids, hypothesis.hit_cap) for hypothesis in at_once] == [((2, 2), False)]
    at_the_limit = beam_search(UnigramSteps([-3.0, -2.0, -0.2]), 5, BeamSettings(2, 3, sos=2, eos=2, maxlenratio=-1))
    assert [(hypothesis.ids, hypothesis.hit_cap) for hypothesis in at_the_limit] == [((2, 2, 2), False), ((2, 1, 2), True)]


def test_the_end_is_detected_only_without_a_length_limit() -> None:
    steps = {}
    for maxlenratio in (0.0, 1.0):
        model = UnigramSteps([-8.0, -0.01])  # a hypothesis ends at every step, each 8 below the one before
        beam_search(model, 20, BeamSettings(2, 2, sos=1, eos=1, maxlenratio=maxlenratio))
        steps[maxlenratio] = len(model.batches)
    assert steps == {0.0: 7, 1.0: 20}  # ids of lengths 4, 5 and 6 are 16 and more below the best; end_detect looks for them at position 6


def test_the_smallest_length_is_lowered_by_a_tenth_until_something_ends() -> None:
    model = UnigramSteps([-3.0, -2.0, -0.2])  # ends at once, so that only 0 tokens can be asked for
    assert len(beam_search(model, 10, BeamSettings(1, 3, sos=2, eos=2, minlenratio=0.5))) == 1
    assert model.starts == 6  # 0.5, 0.4, 0.3, 0.2, 0.1, 0.0


@pytest.mark.parametrize(("ratio", "maxlenratio", "searches"), [(20.0, 0.0, 10), (1e6, 0.0, 11), (3.0, 0.5, 6), (3.0, -4.0, 5)])
def test_a_smallest_length_beyond_the_largest_is_not_searched(ratio: float, maxlenratio: float, searches: int) -> None:
    """The same hypotheses as when every ratio is tried, from the first of ESPnet's ratios (0.1 subtracted again and again) that can end."""
    model = UnigramSteps([-3.0, -2.0, -0.2])
    settings = BeamSettings(1, 3, sos=2, eos=2, minlenratio=ratio, maxlenratio=maxlenratio)
    assert plain(beam_search(model, 10, settings)) == plain(
        beam_search(UnigramSteps([-3.0, -2.0, -0.2]), 10, replace(settings, minlenratio=0.0))
    )
    assert model.starts <= searches
    expected = ratio
    while expected >= 0.1 and int(expected * 10) >= settings.max_length(10):
        expected = max(0.0, expected - 0.1)
    assert settings.reachable(ratio, 10) == expected
    assert int(expected * 10) < settings.max_length(10)


@pytest.mark.parametrize("minlenratio", [1.7, 3.0])
def test_ratios_beyond_one_end_as_those_of_espnet(minlenratio: float) -> None:
    decoder, memory = make_decoder(5, eos_bonus=2.0, sharpness=3.0)
    for maxlenratio in (0.0, 0.5, -6.0):
        settings = BeamSettings(3, VOCABULARY, EOS, EOS, maxlenratio, minlenratio)
        found, expected = plain(beam_search(EspnetSteps(decoder, memory), len(memory), settings)), search_espnet(decoder, memory, settings)
        assert [ids for ids, _ in found] == [ids for ids, _ in expected]


def test_nothing_is_found_when_every_hypothesis_ends_too_early() -> None:
    assert beam_search(UnigramSteps([-3.0, -2.0, -0.2]), 100, BeamSettings(1, 3, sos=2, eos=2, minlenratio=0.05)) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam_size": 0}, r"beam size must lie in \[1, 20\].*, got 0"),
        ({"beam_size": 21}, "got 21"),
        ({"eos": 20}, r"ids must lie in \[0, 19\], got 19 and 20"),
        ({"beam_size": 2.5}, "got 2.5"),
        ({"maxlenratio": -0.5}, "maxlenratio must be .* got -0.5"),
        ({"minlenratio": 1e308}, r"minlenratio must lie within 1e\+06 of 0, got 1e\+308"),
        ({"maxlenratio": -2e6}, r"maxlenratio must lie within 1e\+06 of 0, got -2e\+06"),
        ({"length_bonus": 1e38}, r"length_bonus must lie within 1000 of 0, got 1e\+38"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        BeamSettings(**{"beam_size": 3, "vocabulary": VOCABULARY, "sos": EOS, "eos": EOS} | change)


def test_a_fixed_number_below_one_or_a_beam_that_needs_eos_is_refused() -> None:
    with pytest.raises(BadInput, match="at least 1, got 0"):
        beam_search_fixed(UnigramSteps([-1.0, -2.0]), 0, BeamSettings(1, 2, 1, 1))
    with pytest.raises(BadInput, match=r"below the vocabulary \(2\)"):
        beam_search_fixed(UnigramSteps([-1.0, -2.0]), 3, BeamSettings(2, 2, 1, 1))
