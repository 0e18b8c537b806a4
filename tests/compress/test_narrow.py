"""The order of hidden units, the cuts that follow, and their reverse."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.compress.memo import Memo, remember_reduced
from paredown.compress.narrow import Cut, find_cuts, narrow, pad, rank_units
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo

FF, ATTENTION = "decoder.decoders.0.feed_forward", "decoder.decoders.0.self_attn"
UNITS, WIDTH, HEADS = 6, 4, 2


def state() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        f"{FF}.w_1.weight": (UNITS, WIDTH),
        f"{FF}.w_1.bias": (UNITS,),
        f"{FF}.w_2.weight": (WIDTH, UNITS),
        f"{FF}.w_2.bias": (WIDTH,),
    }
    shapes |= {f"{ATTENTION}.linear_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "out")}
    shapes |= {f"{ATTENTION}.linear_{part}.bias": (WIDTH,) for part in ("q", "k", "v", "out")}
    return {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def inventory() -> Inventory:
    arrays = state()
    layers = [
        LayerInfo(name.removesuffix(".weight"), "decoder.feed_forward" if FF in name else "decoder.self_attn", array.shape, "linear")
        for name, array in arrays.items()
        if name.endswith(".weight")
    ]
    vectors = tuple((name, array.size) for name, array in arrays.items() if name.endswith(".bias"))
    return Inventory(tuple(layers), vectors, (("encoder", 0), ("decoder", 1)), ((ATTENTION, HEADS),))


def cuts_of(**parts: tuple) -> dict[str, Cut]:
    return find_cuts(state(), inventory(), Configuration(**parts), stored_order=False)


@given(seed=st.integers(0, 20), units=st.integers(1, 12), copies=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_units_come_by_the_product_of_their_norms_and_equal_ones_by_index(seed: int, units: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    first = np.tile(rng.integers(-2, 3, (units, 3)), (copies, 1)).astype(np.float32)
    second = np.tile(rng.integers(-2, 3, (5, units)), (1, copies)).astype(np.float32)
    found = rank_units(first, second)
    by_hand = [np.linalg.norm(first[j].astype(float)) * np.linalg.norm(second[:, j].astype(float)) for j in range(units * copies)]
    assert all(by_hand[a] > by_hand[b] or (by_hand[a] == by_hand[b] and a < b) for a, b in pairwise(found))
    assert sorted(found) == list(range(units * copies))


def test_the_most_important_units_stay_in_their_order() -> None:
    cuts = cuts_of(width=((FF, 3),))
    kept = np.sort(rank_units(state()[f"{FF}.w_1.weight"], state()[f"{FF}.w_2.weight"])[:3])
    assert {name: cut.axis for name, cut in cuts.items()} == {f"{FF}.w_1.weight": 0, f"{FF}.w_1.bias": 0, f"{FF}.w_2.weight": 1}
    assert all(np.array_equal(cut.indices, kept) for cut in cuts.values())


def test_heads_are_rows_of_three_layers_and_columns_of_the_fourth() -> None:
    cuts = cuts_of(heads=((ATTENTION, (1,)),))
    roles = {name.removeprefix(f"{ATTENTION}.linear_"): (cut.axis, cut.indices.tolist()) for name, cut in cuts.items()}
    by_rows = {f"{part}.{kind}": (0, [2, 3]) for part in "qkv" for kind in ("weight", "bias")}
    assert roles == by_rows | {"out.weight": (1, [2, 3])}


def test_padding_is_the_reverse_with_zeros() -> None:
    cuts, shapes = cuts_of(width=((FF, 3),), heads=((ATTENTION, (0,)),)), {name: array.shape for name, array in state().items()}
    padded = pad(narrow(state(), cuts), cuts, shapes)
    for name, array in state().items():
        expected = array.copy()
        if name in cuts:
            gone = np.setdiff1d(np.arange(array.shape[cuts[name].axis]), cuts[name].indices)
            expected[(slice(None),) * cuts[name].axis + (gone,)] = 0
        assert np.array_equal(padded[name], expected)


def test_a_memo_forgets_reduced_layers_alone_and_the_oldest_first() -> None:
    memo: Memo = {("whole", 4, "channel", "rtn"): "kept"}
    made: list[int] = []

    def ask(number: int) -> int:
        return remember_reduced(memo, (number,), lambda: made.append(number) or number)

    for number in range(256):
        assert ask(number) == number
    ask(0)  # now the latest
    ask(256)
    assert len(made) == 257
    ask(0)
    assert len(made) == 257
    ask(1)
    assert len(made) == 258
    assert memo["whole", 4, "channel", "rtn"] == "kept"
    assert len(memo) == 257
