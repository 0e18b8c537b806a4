"""Leave-one-axis-out: each axis alone goes back, and those that changed nothing are not named."""

from dataclasses import fields, replace

from paredown.space.configuration import TRANSFORMATIONS, Configuration, Decode, Input, Scheme
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reset import reset_axes

PATHS = ("encoder.encoders.0.feed_forward.w_1", "decoder.decoders.0.feed_forward.w_1", "decoder.decoders.1.feed_forward.w_1")
INVENTORY = Inventory(
    tuple(LayerInfo(path, f"{path.partition('.')[0]}.feed_forward", (8, 4), "linear") for path in PATHS),
    (),
    (("encoder", 1), ("decoder", 2)),
)
OWN = Decode(beam_size=10)
WHOLE = Configuration(
    keep=(("decoder", (1,)),),
    bits=((PATHS[0], 3), (PATHS[2], 5)),
    sparsity=(("encoder.feed_forward", 0.5),),
    decode=Decode(beam_size=2),
    input=Input(hop_samples=250),
    width=((PATHS[0].removesuffix(".w_1"), 5),),
    heads=(("encoder.encoders.0.self_attn", (1,)),),
    rank=((PATHS[2], 3),),
    scheme=Scheme(activations="static"),
    schedule=("supernet:" + "0" * 64, *TRANSFORMATIONS),
)


def test_each_axis_alone_goes_back() -> None:
    without = reset_axes(WHOLE, INVENTORY, OWN)
    assert set(without) == {"bits", "layers", "sparsity", "heads", "width", "rank", "activations", "input", "decode"}
    assert without["bits"] == replace(WHOLE, bits=(), scheme=Scheme(kernel="fp32"))
    assert without["width"] == replace(WHOLE, width=(), schedule=TRANSFORMATIONS)
    assert without["activations"] == replace(WHOLE, scheme=Scheme())
    assert without["sparsity"].sparsity == ()
    assert without["input"].input == Input()
    assert without["decode"].decode == OWN
    for axis in ("sparsity", "heads", "rank", "input", "decode"):
        for other in (part.name for part in fields(Configuration)):
            assert (getattr(without[axis], other) == getattr(WHOLE, other)) == (other != axis)


def test_blocks_that_come_back_have_the_widest_codes() -> None:
    back = reset_axes(WHOLE, INVENTORY, OWN)["layers"]
    assert back.keep == ()
    assert back.bits_of == {PATHS[0]: 3, PATHS[1]: 8, PATHS[2]: 5}


def test_layers_of_kept_blocks_that_have_no_bits_stay_in_fp32() -> None:
    """An exception of the study's: no layer of theirs is the axis's doing, and where no block is gone neither is anything else."""
    wide = replace(WHOLE, bits=((PATHS[2], 5),))
    assert reset_axes(wide, INVENTORY, OWN)["layers"].bits_of == {PATHS[1]: 8, PATHS[2]: 5}
    assert "layers" not in reset_axes(replace(wide, keep=()), INVENTORY, OWN)


def test_blocks_of_a_model_that_is_not_quantized_come_back_as_they_are() -> None:
    plain = Configuration(keep=(("decoder", (1,)),), scheme=Scheme(kernel="fp32"), decode=OWN)
    assert reset_axes(plain, INVENTORY, OWN) == {"layers": Configuration(scheme=Scheme(kernel="fp32"), decode=OWN)}


def test_the_uncompressed_model_has_nothing_to_reset() -> None:
    assert reset_axes(Configuration(scheme=Scheme(kernel="fp32"), decode=OWN), INVENTORY, OWN) == {}
