"""Axes and the search space: what knob values resolve into."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.bits import BitsAxis
from paredown.space.axes.layers import LayersAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.configuration import Configuration
from paredown.space.cost import layer_bytes
from paredown.space.inventory import Inventory, LayerInfo

WIDTHS = (2, 3, 4, 8)
BLOCKS = 4


def inventory() -> Inventory:
    """A front layer and `BLOCKS` decoder blocks of two unequal layers."""
    layers = [LayerInfo("encoder.embed.out.0", "encoder.subsampling", (3, 7), "linear")]
    for block in range(BLOCKS):
        path = f"decoder.decoders.{block}"
        layers.append(LayerInfo(f"{path}.src_attn.linear_q", "decoder.cross_attn", (5, 5), "linear"))
        layers.append(LayerInfo(f"{path}.feed_forward.w_1", "decoder.feed_forward", (9, 5), "linear"))
    return Inventory(tuple(layers), (), (("encoder", 2), ("decoder", BLOCKS)))


PATHS = tuple(layer.path for layer in inventory().layers)
KL = np.random.default_rng(5).lognormal(0, 1, (len(PATHS), 1)) * 4.0 ** -np.array(WIDTHS)


def bits_axis(budget: str = "bits") -> BitsAxis:
    return BitsAxis(inventory(), PATHS, WIDTHS, KL, 2.0, 8.0, budget)


def space(budget: str = "bits") -> SearchSpace:
    groups = ["decoder.feed_forward", "decoder.cross_attn"]
    return SearchSpace([bits_axis(budget), SparsityAxis(groups, 0.9), LayersAxis("decoder", BLOCKS, (2, 1, 0), 2, BLOCKS)])


def values(average: float, blocks: int = BLOCKS, feed_forward: float = 0.0, cross: float = 0.0) -> dict[str, float | int]:
    return {
        "bits.average": average,
        "layers.decoder": blocks,
        "sparsity.decoder.feed_forward": feed_forward,
        "sparsity.decoder.cross_attn": cross,
    }


def mean_bits(configuration: Configuration) -> float:
    by_path = inventory().by_path
    weights = sum(by_path[path].weights for path, _ in configuration.bits)
    return sum(by_path[path].weights * bits for path, bits in configuration.bits) / weights


@cache
def every_allocation(rows: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Summed KL and summed nominal bits of every allocation of widths to these layers."""
    choices = np.array(list(itertools.product(range(len(WIDTHS)), repeat=len(rows))))
    weights = np.array([inventory().layers[row].weights for row in rows])
    return KL[rows, choices].sum(axis=1), (weights * np.array(WIDTHS)[choices]).sum(axis=1)


@given(st.floats(2.0, 8.0), st.integers(2, 3))
@settings(deadline=None, max_examples=60)
def test_mean_bits_stay_within_the_average_and_no_other_allocation_is_better(average: float, blocks: int) -> None:
    configuration = space().resolve(values(average, blocks))
    assert mean_bits(configuration) <= average
    rows = tuple(row for row, path in enumerate(PATHS) if path in configuration.bits_of)
    summed, bits = every_allocation(rows)
    affordable = bits <= average * sum(inventory().layers[row].weights for row in rows)
    chosen = sum(KL[row, WIDTHS.index(configuration.bits_of[PATHS[row]])] for row in rows)
    assert chosen == pytest.approx(summed[affordable].min(), rel=1e-12)  # sums in another order


@given(st.floats(2.0, 8.0), st.floats(2.0, 8.0), st.sampled_from(["bits", "bytes"]))
@settings(deadline=None, max_examples=40)
def test_a_higher_average_is_never_more_sensitive(first: float, second: float, budget: str) -> None:
    def summed(average: float) -> float:
        bits = space(budget).resolve(values(average)).bits_of
        return sum(KL[PATHS.index(path), WIDTHS.index(width)] for path, width in bits.items())

    low, high = sorted((first, second))
    assert summed(high) <= summed(low) * (1 + 1e-12)  # sums in another order


def stored_bytes(configuration: Configuration) -> int:
    total = 0
    for path, bits in configuration.bits:
        layer = inventory().by_path[path]
        share = configuration.sparsity_of.get(layer.group)
        total += layer_bytes(layer, bits, None if share is None else layer.weights - round(share * layer.weights))
    return total


@given(st.floats(2.0, 8.0), st.sampled_from([0.0, 0.5, 0.9]))
@settings(deadline=None, max_examples=40)
def test_a_budget_in_bytes_counts_scales_and_masks(average: float, share: float) -> None:
    configuration = space("bytes").resolve(values(average, feed_forward=share))
    uniform = [
        stored_bytes(Configuration(bits=tuple((path, width) for path in PATHS), sparsity=configuration.sparsity)) for width in WIDTHS
    ]
    assert stored_bytes(configuration) <= np.interp(average, WIDTHS, uniform)


@pytest.mark.parametrize("budget", ["bits", "bytes"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_whole_average_affords_that_width_for_all(width: int, budget: str) -> None:
    chosen = space(budget).resolve(values(width)).bits
    uniform = KL[:, WIDTHS.index(width)].sum()
    assert sum(KL[PATHS.index(path), WIDTHS.index(bits)] for path, bits in chosen) <= uniform * (1 + 1e-12)  # sums in another order


def test_dropped_blocks_get_no_bits_and_the_others_keep_their_indices() -> None:
    configuration = space().resolve(values(4.0, blocks=2))
    assert configuration.keep == (("decoder", (0, 3)),)
    assert not any(path.startswith(("decoder.decoders.1.", "decoder.decoders.2.")) for path, _ in configuration.bits)
    assert len(configuration.bits) == 5


def test_bits_given_beforehand_survive_unless_their_block_goes() -> None:
    base = Configuration(bits=tuple((path, 8) for path in PATHS))
    alone = SearchSpace([LayersAxis("decoder", BLOCKS, (2, 1), 2, BLOCKS)], base)
    assert alone.resolve({"layers.decoder": 3}).bits == tuple(sorted((path, 8) for path in PATHS if ".decoders.2." not in path))


def test_bits_of_layers_outside_the_axis_stay() -> None:
    axis = BitsAxis(inventory(), PATHS[1:], WIDTHS, KL[1:], 2.0, 8.0)
    resolved = SearchSpace([axis], Configuration(bits=((PATHS[0], 5),))).resolve({"bits.average": 2.0})
    assert resolved.bits_of[PATHS[0]] == 5
    assert set(resolved.bits_of.values()) == {2, 5}


def test_what_takes_nothing_away_is_not_named() -> None:
    configuration = space().resolve(values(8.0))
    assert configuration.keep == ()
    assert configuration.sparsity == ()


def test_equal_meaning_gives_an_equal_digest() -> None:
    exact = space().resolve(values(4.0, 3, 0.15, 0.3))
    drifted = space().resolve(values(4.0, 3, 0.15000000000000002, 0.30000000000000004))
    assert exact.digest == drifted.digest
    assert exact.digest != space().resolve(values(4.0, 3, 0.2, 0.3)).digest


def test_the_smallest_model_has_every_axis_at_its_lowest() -> None:
    smallest = space().smallest()
    assert set(smallest.bits_of.values()) == {2}
    assert smallest.keep_of["decoder"] == (0, 3)
    assert smallest.sparsity_of == {"decoder.feed_forward": 0.9, "decoder.cross_attn": 0.9}


def test_axes_resolve_in_one_order_however_they_are_given() -> None:
    assert [axis.name for axis in space().axes] == ["layers", "sparsity", "bits"]


def test_a_description_changes_with_everything_the_rule_depends_on() -> None:
    described = space().describe()
    assert described["layers.decoder"] == [2, BLOCKS]
    assert described["bits.average"] == [2.0, 8.0]
    assert space().describe() == described
    other = BitsAxis(inventory(), PATHS, WIDTHS, KL * 2, 2.0, 8.0)
    assert other.describe()["bits.sensitivity"] != described["bits.sensitivity"]
    assert LayersAxis("decoder", BLOCKS, (1, 2), 2, BLOCKS).describe() != LayersAxis("decoder", BLOCKS, (2, 1), 2, BLOCKS).describe()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"bits.average": 9.5}, r"bits.average must lie in \[2, 8\], got 9.5"),
        ({"layers.decoder": 1}, r"layers.decoder must be a whole number in \[2, 4\], got 1"),
        ({"bits.averag": 3.0}, "values must name knobs of this space"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        space().resolve(values(4.0) | change)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ValueError, match=r"got none for 'bits.average'"):
        space().resolve({"layers.decoder": 3, "sparsity.decoder.feed_forward": 0.0, "sparsity.decoder.cross_attn": 0.0})


def test_impossible_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"average bits must lie in \[2, 8\], got \[1.5, 8.0\]"):
        BitsAxis(inventory(), PATHS, WIDTHS, KL, 1.5, 8.0)
    with pytest.raises(ValueError, match="shape"):
        BitsAxis(inventory(), PATHS, WIDTHS, KL[:, :3], 2.0, 8.0)
    with pytest.raises(ValueError, match="got 'nowhere'"):
        BitsAxis(inventory(), ("nowhere",), WIDTHS, KL[:1], 2.0, 8.0)
    with pytest.raises(ValueError, match="ascending"):
        BitsAxis(inventory(), PATHS, (3, 2, 4, 8), KL, 2.0, 8.0)
    with pytest.raises(ValueError, match=r"must lie in \[2, 4\], what the order of removal reaches, got \[1, 4\]"):
        LayersAxis("decoder", BLOCKS, (2, 1), 1, BLOCKS)
    with pytest.raises(ValueError, match="different blocks"):
        LayersAxis("decoder", BLOCKS, (2, 2), 2, BLOCKS)
    with pytest.raises(ValueError, match="names a module group"):
        SparsityAxis(["decoder.everything"], 0.9)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1.0"):
        SparsityAxis(["ctc"], 1.0)
    with pytest.raises(ValueError, match="knobs must have different names"):
        SearchSpace([LayersAxis("decoder", BLOCKS, (2, 1), 2, BLOCKS)] * 2)
