"""Stored bytes: the formulas, and what the packer really writes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paredown.bundle.pack import pack
from paredown.compress.quantize import quantize
from paredown.space.cost import layer_bytes, reduced_bytes
from paredown.space.inventory import LayerInfo


def layer_of(*shape: int) -> LayerInfo:
    return LayerInfo("encoder.encoders.0.feed_forward.w_1", "encoder.feed_forward", shape, "linear")


def test_dense_layer_by_hand() -> None:
    assert layer_bytes(layer_of(3, 5), bits=3) == 3 * 2 + 4 * 3
    assert layer_bytes(layer_of(3, 5), bits=3, granularity="tensor") == 3 * 2 + 4
    assert layer_bytes(layer_of(3, 5), bits=None) == 60
    assert layer_bytes(layer_of(3, 5), bits=None, kernel="fp16") == 30
    assert layer_bytes(layer_of(3, 5), bits=3, kernel="fp16") == layer_bytes(layer_of(3, 5), bits=3)


def test_sparse_layer_takes_the_cheaper_form() -> None:
    wide = layer_of(4, 100)
    assert layer_bytes(wide, bits=8, survivors=120) == 50 + 8 * 15 + 16
    assert layer_bytes(wide, bits=8, survivors=399) == 8 * 50 + 16  # a mask would cost more than it saves
    assert layer_bytes(wide, bits=2, survivors=0) == 50 + 16


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    bits=st.integers(2, 8),
    sparsity=st.none() | st.floats(0, 1),
    granularity=st.sampled_from(["channel", "tensor"]),
)
@settings(deadline=None, max_examples=150)
def test_is_what_the_packer_writes(shape: tuple[int, int], bits: int, sparsity: float | None, granularity: str) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape, dtype=np.float32)
    mask = None if sparsity is None else rng.random(shape) >= sparsity
    survivors = None if mask is None else int(mask.sum())
    packed = pack({"weight": quantize(weight, bits, granularity, mask)})
    assert layer_bytes(layer_of(*shape), bits, survivors, granularity) == len(packed.data)


def test_half_precision_has_no_scales_and_stores_zeros_too() -> None:
    assert layer_bytes(layer_of(3, 5), bits=16) == 30
    assert layer_bytes(layer_of(3, 5), bits=16, survivors=1, granularity="tensor", kernel="nbits") == 30


def test_parts_of_a_layer_add_up() -> None:
    down, up = layer_of(2, 9), layer_of(7, 2)
    assert reduced_bytes((down, up), 3) == layer_bytes(down, 3) + layer_bytes(up, 3)
    assert reduced_bytes((down, up), 3, (4, None), "tensor") == layer_bytes(down, 3, 4, "tensor") + layer_bytes(up, 3, None, "tensor")
    assert reduced_bytes((down, up), None, kernel="fp16") == 2 * (18 + 14)
    assert reduced_bytes((), 4) == 0
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        reduced_bytes((down, up), 3, (4,))


def test_rules_are_named() -> None:
    with pytest.raises(ValueError, match=r"bit-width must lie in \[2, 8\] or be 16, got 9"):
        layer_bytes(layer_of(2, 2), bits=9)
    with pytest.raises(ValueError, match=r"survivors must lie in \[0, 4\].*got 5"):
        layer_bytes(layer_of(2, 2), bits=4, survivors=5)
