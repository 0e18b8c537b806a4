"""The recipe's plan of a pass: every segment once, utterances within 8 s, batches within their frames, resumable."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.models.frontend import FrontendSettings
from paredown.recover.batch import Position
from studies.bundled_model.batches import CURRICULUM_BATCHES, BatchSettings, plan_pass
from studies.bundled_model.utterance import LONGEST_S, PAUSE_S


def _settings(seed: int = 0, batch_frames: int = 9_000) -> BatchSettings:
    return BatchSettings(cache=None, frontend=FrontendSettings(), batch_frames=batch_frames, seed=seed)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(durations=st.lists(st.floats(0.2, 2.3), min_size=1, max_size=200), seed=st.integers(0, 5), later=st.booleans())
def test_plan_holds_every_segment_once_within_the_limits(durations: list[float], seed: int, later: bool) -> None:
    position = Position(epoch=seed, batches_before=CURRICULUM_BATCHES if later else 0)
    plan = plan_pass(durations, position, _settings(seed, batch_frames=2_000))
    flat = [index for batch in plan for utterance in batch for index in utterance]
    assert sorted(flat) == list(range(len(durations)))
    for batch in plan:
        longest_s = 0.0
        for utterance in batch:
            longest_s = max(longest_s, sum(durations[index] for index in utterance) + PAUSE_S[1] * (len(utterance) - 1))
            assert len(utterance) <= (4 if later else 3)
        assert longest_s <= LONGEST_S
        # joined with the mean pause, not the longest: 3 pauses of at most 50 ms more
        assert len(batch) == 1 or len(batch) * (longest_s - 0.15) * 100 <= 2_000


def test_equal_positions_give_equal_plans_and_passes_differ() -> None:
    durations = np.random.default_rng(0).uniform(0.5, 2.0, 300).tolist()
    first, again = (plan_pass(durations, Position(batch=batch), _settings()) for batch in (0, 7))
    assert first == again
    assert first != plan_pass(durations, Position(epoch=1), _settings())


def test_utterances_grow_after_the_curriculum() -> None:
    durations = [1.0] * 2_000
    means = [
        np.mean([len(utterance) for batch in plan_pass(durations, Position(batches_before=before), _settings()) for utterance in batch])
        for before in (0, CURRICULUM_BATCHES)
    ]
    assert 1.6 < means[0] < 1.8
    assert 2.3 < means[1] < 2.6
