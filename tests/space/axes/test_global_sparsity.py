"""Global sparsity: the shares of the groups give exactly the masks of one ranking over all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.compress.prune import survivors
from paredown.compress.ranking import Ranking
from paredown.space.axes.base import SearchSpace
from paredown.space.axes.layers import LayersAxis, is_kept
from paredown.space.axes.sparsity import GlobalSparsityAxis
from paredown.space.configuration import Configuration

BLOCKS = 3
GROUPS = {
    "encoder.subsampling": ("encoder.embed.out.0.weight",),
    "decoder.feed_forward": tuple(f"decoder.decoders.{block}.feed_forward.w_{one}.weight" for block in range(BLOCKS) for one in (1, 2)),
    "decoder.norm": tuple(f"decoder.decoders.{block}.norm1.weight" for block in range(BLOCKS)),
}


def weights(seed: int, levels: int) -> dict[str, np.ndarray]:
    """A few different magnitudes give ties, many give none."""
    rng = np.random.default_rng(seed)
    sizes = {
        name: (3,) if "norm" in name else (5, 4 + index) for index, name in enumerate(name for names in GROUPS.values() for name in names)
    }
    return {name: (rng.integers(-levels, levels + 1, shape) / levels).astype(np.float32) for name, shape in sizes.items()}


def axis(state: dict[str, np.ndarray]) -> GlobalSparsityAxis:
    return GlobalSparsityAxis(GROUPS, Ranking(state).count_survivors, 0.95)


@given(st.integers(0, 100), st.sampled_from([1, 3, 100_000]), st.integers(0, 19), st.integers(1, BLOCKS))
@settings(deadline=None, max_examples=150)
def test_the_masks_are_those_of_the_joint_ranking(seed: int, levels: int, step: int, blocks: int) -> None:
    state = weights(seed, levels)
    space = SearchSpace([axis(state), LayersAxis("decoder", BLOCKS, (1, 2), 1, BLOCKS)])
    configuration = space.resolve({"sparsity.share": round(step * 0.05, 10), "layers.decoder": blocks})
    kept = {group: [name for name in names if is_kept(name, configuration)] for group, names in GROUPS.items()}
    joint = survivors({name: state[name] for names in kept.values() for name in names}, round(step * 0.05, 10))
    for group, names in kept.items():
        own = survivors({name: state[name] for name in names}, configuration.sparsity_of.get(group, 0.0))
        expected = {name: joint[name] for name in names}
        if not any(mask.any() for mask in expected.values()):  # a group keeps one weight at least
            assert sum(int(mask.sum()) for mask in own.values()) == 1
        else:
            assert all(np.array_equal(own[name], expected[name]) for name in names)


def test_groups_outside_the_axis_stay_and_no_zeros_are_not_named() -> None:
    base = Configuration(sparsity=(("ctc", 0.5), ("decoder.norm", 0.5)))
    assert axis(weights(0, 100_000)).resolve({"sparsity.share": 0.0}, base).sparsity == (("ctc", 0.5),)


def test_the_smallest_model_is_the_sparsest() -> None:
    one = axis(weights(0, 100_000))
    assert one.lowest() == {"sparsity.share": 0.95}
    assert [knob.name for knob in one.knobs] == ["sparsity.share"]


def test_a_description_changes_with_the_weights() -> None:
    described = axis(weights(0, 100_000)).describe()
    assert described == axis(weights(0, 100_000)).describe()
    assert described["sparsity.share"] == [0.0, 0.95]
    assert axis(weights(1, 100_000)).describe() != described


def test_impossible_axes_are_refused() -> None:
    count = Ranking({}).count_survivors
    with pytest.raises(ValueError, match="names a module group"):
        GlobalSparsityAxis({"decoder.everything": ("a",)}, count, 0.9)
    with pytest.raises(ValueError, match="must hold parameters, got none for ctc"):
        GlobalSparsityAxis({"ctc": ()}, count, 0.9)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1.0"):
        GlobalSparsityAxis(GROUPS, count, 1.0)
