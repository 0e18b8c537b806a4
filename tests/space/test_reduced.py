"""What a configuration leaves of a model, by shapes alone; and what it cannot leave is named."""

from typing import Any

import pytest

from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import original_path, reduce_inventory

FF, ATTENTION = "encoder.encoders.1.feed_forward", "encoder.encoders.1.self_attn"
_SHAPES = {
    f"{FF}.w_1": (12, 8),
    f"{FF}.w_2": (8, 12),
    f"{ATTENTION}.linear_q": (8, 8),
    f"{ATTENTION}.linear_k": (8, 8),
    f"{ATTENTION}.linear_v": (8, 8),
    f"{ATTENTION}.linear_out": (8, 8),
    f"{ATTENTION}.linear_pos": (8, 8),
    "encoder.encoders.0.feed_forward.w_1": (12, 8),
    "encoder.encoders.0.feed_forward.w_2": (8, 12),
}
INVENTORY = Inventory(
    tuple(
        LayerInfo(path, "encoder.feed_forward" if "feed" in path else "encoder.self_attn", shape, "linear")
        for path, shape in _SHAPES.items()
    ),
    (
        *((f"{FF}.w_1.bias", 12), (f"{FF}.w_2.bias", 8)),
        *((f"{ATTENTION}.linear_q.bias", 8), (f"{ATTENTION}.linear_out.bias", 8), (f"{ATTENTION}.pos_bias_u", 8)),
        ("encoder.encoders.0.norm_ff.weight", 8),
    ),
    (("encoder", 2),),
    ((ATTENTION, 4),),
)


def shapes(inventory: Inventory) -> dict[str, tuple[int, ...]]:
    return {layer.path: layer.shape for layer in inventory.layers}


def test_without_reductions_nothing_changes() -> None:
    assert reduce_inventory(INVENTORY, Configuration(bits=((f"{FF}.w_1", 4),))) == INVENTORY


def test_a_narrow_feed_forward_loses_rows_columns_and_biases() -> None:
    reduced = reduce_inventory(INVENTORY, Configuration(width=((FF, 5),)))
    assert shapes(reduced) == _SHAPES | {f"{FF}.w_1": (5, 8), f"{FF}.w_2": (8, 5)}
    assert dict(reduced.vectors) == dict(INVENTORY.vectors) | {f"{FF}.w_1.bias": 5}
    assert INVENTORY.parameters - reduced.parameters == 7 * (8 + 8 + 1)


def test_an_attention_loses_its_heads_rows_and_columns() -> None:
    reduced = reduce_inventory(INVENTORY, Configuration(heads=((ATTENTION, (0, 2, 3)),)))
    by_head = {f"{ATTENTION}.linear_{role}": (6, 8) for role in ("q", "k", "v", "pos")}
    assert shapes(reduced) == _SHAPES | by_head | {f"{ATTENTION}.linear_out": (8, 6)}
    assert dict(reduced.vectors) == dict(INVENTORY.vectors) | {f"{ATTENTION}.linear_q.bias": 6, f"{ATTENTION}.pos_bias_u": 6}
    assert reduced.heads == ((ATTENTION, 3),)


def test_a_factorized_layer_is_two_in_the_order_of_their_products() -> None:
    reduced = reduce_inventory(INVENTORY, Configuration(rank=((f"{FF}.w_1", 2),), width=((FF, 5),)))
    assert [layer.path for layer in reduced.layers][:3] == [f"{FF}.w_1.down", f"{FF}.w_1.up", f"{FF}.w_2"]
    assert shapes(reduced)[f"{FF}.w_1.down"] == (2, 8)
    assert shapes(reduced)[f"{FF}.w_1.up"] == (5, 2)
    assert original_path(f"{FF}.w_1.down") == original_path(f"{FF}.w_1.up") == original_path(f"{FF}.w_1") == f"{FF}.w_1"
    assert original_path(f"{ATTENTION}.down") == f"{ATTENTION}.down"


def test_a_dropped_block_is_gone() -> None:
    reduced = reduce_inventory(INVENTORY, Configuration(keep=(("encoder", (0,)),)))
    assert set(shapes(reduced)) == {"encoder.encoders.0.feed_forward.w_1", "encoder.encoders.0.feed_forward.w_2"}
    assert reduced.vectors == (("encoder.encoders.0.norm_ff.weight", 8),)
    assert (reduced.blocks, reduced.heads) == ((("encoder", 1),), ())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"width": ((ATTENTION, 4),)}, f"widths must name feed-forwards of the model, got '{ATTENTION}'"),
        ({"width": ((FF, 13),)}, rf"hidden units of {FF} must lie in \[1, 12\], got 13"),
        ({"heads": ((FF, (0,)),)}, f"heads must name attentions of the model, got '{FF}'"),
        ({"heads": ((ATTENTION, (1, 4)),)}, rf"kept heads of {ATTENTION} must lie in \[0, 3\], got \(1, 4\)"),
        ({"rank": ((FF, 2),)}, f"ranks must name layers w_1 and w_2 of feed-forwards, got '{FF}'"),
        ({"rank": ((f"{ATTENTION}.linear_q", 2),)}, "ranks must name layers w_1 and w_2 of feed-forwards"),
        ({"rank": ((f"{FF}.w_2", 9),)}, rf"the rank of {FF}.w_2 must lie in \[1, 8\], got 9"),
        ({"rank": ((f"{FF}.w_2", 5),), "width": ((FF, 4),)}, rf"the rank of {FF}.w_2 must lie in \[1, 4\], got 5"),
        ({"width": ((FF, 4),), "keep": (("encoder", (0,)),)}, f"widths must name parts of kept blocks, got '{FF}'"),
        ({"heads": ((ATTENTION, (0,)),), "keep": (("encoder", (0,)),)}, "heads must name parts of kept blocks"),
        ({"rank": ((f"{FF}.w_1", 1),), "keep": (("encoder", (0,)),)}, "ranks must name parts of kept blocks"),
    ],
)
def test_what_a_model_cannot_have_is_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        reduce_inventory(INVENTORY, Configuration(**parts))
