"""Axis heads: which heads go, against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.heads import ATTENTIONS, HeadsAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo

BLOCKS = 3
ROLES = {"encoder": (("self_attn", "encoder.self_attn"),), "decoder": (("self_attn", ATTENTIONS[1]), ("src_attn", ATTENTIONS[2]))}
HEADS = {"encoder": 4, "decoder": 2}


def inventory() -> Inventory:
    layers, heads = [], []
    for stack, roles in ROLES.items():
        for block in range(BLOCKS):
            for role, group in roles:
                path = f"{stack}.{stack}s.{block}.{role}"
                layers.append(LayerInfo(f"{path}.linear_out", group, (8, 8), "linear"))
                heads.append((path, HEADS[stack]))
    return Inventory(tuple(layers), (), (("encoder", BLOCKS), ("decoder", BLOCKS)), tuple(heads))


def divergences(seed: int = 0, levels: int = 1000) -> dict[str, tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    return {path: tuple(rng.integers(0, levels, count).astype(float).tolist()) for path, count in inventory().heads}


def gone(configuration: Configuration) -> set[tuple[str, int]]:
    counts = dict(inventory().heads)
    return {(path, head) for path, kept in configuration.heads for head in set(range(counts[path])) - set(kept)}


@given(
    st.integers(0, 50), st.sampled_from([2, 1000]), st.floats(0, 0.95), st.sets(st.sampled_from(ATTENTIONS), min_size=1), st.integers(1, 3)
)
@settings(deadline=None, max_examples=150)
def test_the_least_needed_go_and_every_attention_keeps_one(seed: int, levels: int, share: float, groups: set[str], blocks: int) -> None:
    table, chosen = divergences(seed, levels), sorted(groups)
    space = SearchSpace([HeadsAxis(inventory(), table, 0.95, chosen), LayersAxis("decoder", BLOCKS, (1, 0), 1, BLOCKS)])
    configuration = space.resolve({"heads.share": share, "layers.decoder": blocks})
    dropped = set((1, 0)[: BLOCKS - blocks])
    own = {
        (path, head)
        for path, count in inventory().heads
        for head in range(count)
        if inventory().by_path[f"{path}.linear_out"].group in groups
        and not (path.startswith("decoder") and int(path.split(".")[2]) in dropped)
    }
    attentions = {path for path, _ in own}
    removed = gone(configuration)
    assert removed <= own
    kept = own - removed
    assert {path for path, _ in kept} == attentions
    wanted = round(space.checked({"heads.share": share, "layers.decoder": blocks})["heads.share"] * len(own))
    assert len(removed) == min(wanted, len(own) - len(attentions))
    for path, head in removed:  # whatever stays is needed more, or is the last of its attention
        for other, staying in kept:
            last = sum(name == other for name, _ in kept) == 1
            assert last or (table[path][head], path) <= (table[other][staying], other) or table[path][head] <= table[other][staying]
    for path in attentions:  # the best head of an attention never goes
        assert max(table[path]) in {table[path][head] for name, head in kept if name == path}


def test_all_heads_have_one_digest_and_own_entries_are_replaced() -> None:
    path = "encoder.encoders.0.self_attn"
    axis = HeadsAxis(inventory(), divergences(), 0.5)
    base = Configuration(heads=((path, (0, 1)),))
    assert axis.resolve({"heads.share": 0.0}, base) == Configuration()
    cross = HeadsAxis(inventory(), divergences(), 0.5, ["decoder.cross_attn"])
    assert cross.resolve({"heads.share": 0.0}, base) == base


def test_entries_of_dropped_blocks_are_dropped() -> None:
    path = "decoder.decoders.1.self_attn"
    cross = HeadsAxis(inventory(), divergences(), 0.5, ["decoder.cross_attn"])
    base = Configuration(heads=((path, (0,)),), keep=(("decoder", (0, 2)),))
    assert path not in cross.resolve({"heads.share": 0.5}, base).heads_of


def test_the_smallest_model_has_the_fewest_heads() -> None:
    axis = HeadsAxis(inventory(), divergences(), 0.52)  # no multiple of the step
    assert axis.lowest() == {"heads.share": 0.5}
    assert len(gone(SearchSpace([axis]).smallest())) == 12


def test_a_description_changes_with_the_divergences_and_the_groups() -> None:
    described = HeadsAxis(inventory(), divergences(), 0.5).describe()
    assert described == HeadsAxis(inventory(), divergences(), 0.5).describe()
    assert described["heads.share"] == [0.0, 0.5]
    assert HeadsAxis(inventory(), divergences(1), 0.5).describe() != described
    assert HeadsAxis(inventory(), divergences(), 0.5, ATTENTIONS[:2]).describe() != described


def test_impossible_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"group of attentions, one of encoder.self_attn"):
        HeadsAxis(inventory(), divergences(), 0.5, ["encoder.conv"])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1.0"):
        HeadsAxis(inventory(), divergences(), 1.0)
    with pytest.raises(ValueError, match=r"every head needs a divergence, got 1 for the 4 of encoder.encoders.0.self_attn"):
        HeadsAxis(inventory(), divergences() | {"encoder.encoders.0.self_attn": (1.0,)}, 0.5)
    with pytest.raises(ValueError, match=r"needs attentions of encoder.self_attn in the model, got none"):
        HeadsAxis(Inventory((), (), ()), {}, 0.5, ["encoder.self_attn"])
