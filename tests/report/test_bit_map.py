"""The map of bit-widths: every layer stands where it is, in text and in colour."""

import pytest

from paredown.errors import BadInput
from paredown.report.bit_map import make_bit_map
from paredown.report.bit_map_figure import draw_bit_map
from paredown.report.trial_table import differing_map_lines, map_lines
from paredown.space.configuration import Configuration

BITS = {
    "decoder.decoders.0.src_attn.linear_q": 3,
    "decoder.decoders.0.self_attn.linear_q": 4,
    "decoder.decoders.2.src_attn.linear_q": 2,
    "encoder.encoders.1.feed_forward.w_1": 8,
    "encoder.encoders.0.feed_forward.w_1": 16,
    "encoder.embed.out": 5,
}
ONE = Configuration(bits=tuple(BITS.items()), keep=(("decoder", (0, 2)),))
OTHER = Configuration(bits=tuple((BITS | {"encoder.encoders.1.feed_forward.w_1": 7, "encoder.embed.out": 6}).items()), keep=ONE.keep)


def test_every_layer_has_its_place() -> None:
    found = make_bit_map(ONE)
    encoder, decoder = found.stacks
    assert (encoder.stack, encoder.blocks, encoder.parts) == ("encoder", (0, 1), ("feed_forward.w_1",))
    assert decoder.blocks == (0, 1, 2)
    assert decoder.gone == {1}
    assert decoder.parts == ("self_attn.linear_q", "src_attn.linear_q")
    assert decoder.bits["src_attn.linear_q", 2] == 2
    assert found.others == (("encoder.embed.out", 5),)


def test_as_text() -> None:
    """Block 1 was removed; self-attention of block 2 has no bits, so it is fp32."""
    assert [line.plain for line in map_lines(ONE, 80)] == [
        "bits of the encoder, by block",
        "                    0  1",
        "  feed_forward.w_1 16  8",
        "bits of the decoder, by block",
        "                      0  1  2",
        "  self_attn.linear_q  4  - 32",
        "  src_attn.linear_q   3  -  2",
        "bits of layers outside blocks",
        "  encoder.embed.out 5",
    ]


def test_of_two_only_what_differs() -> None:
    assert [line.plain for line in differing_map_lines(("trial 1", "trial 2"), (ONE, OTHER), 80)] == [
        "bits of the encoder, by block, trial 1 > trial 2",
        "                     0   1",
        "  feed_forward.w_1   . 8>7",
        "bits of layers outside blocks, trial 1 > trial 2",
        "  encoder.embed.out 5>6",
    ]
    assert list(differing_map_lines(("a", "b"), (ONE, ONE), 80)) == []


def test_many_blocks_are_told_below_each_other() -> None:
    deep = Configuration(bits=tuple((f"encoder.encoders.{block}.feed_forward.w_1", 2 + block % 7) for block in range(48)))
    lines = [line.plain for line in map_lines(deep, 80)]
    assert max(map(len, lines)) <= 80
    told = [bits for line in lines if line.startswith("  feed") for bits in line.split()[1:]]
    assert told == [str(2 + block % 7) for block in range(48)]


def test_as_a_picture() -> None:
    figure = draw_bit_map(ONE, "trial 1 of x")
    encoder, decoder, others = figure.axes
    assert [text.get_text() for text in encoder.texts] == ["16", "8"]
    assert [text.get_text() for text in decoder.texts] == ["4", "32", "3", "2"]
    assert len(decoder.patches) == 6  # the block that was removed has its squares too
    assert [text.get_text() for text in others.texts] == ["5"]
    assert [label.get_text() for label in decoder.get_yticklabels()] == ["self_attn.linear_q", "src_attn.linear_q"]
    with pytest.raises(BadInput, match="needs quantized layers"):
        draw_bit_map(Configuration(), "trial 0")
