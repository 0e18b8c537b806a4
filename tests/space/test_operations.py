"""Operations and their multiply-accumulates: a small network counted by hand."""

import pytest

from paredown.space.configuration import Configuration, Decode, Kernel
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.macs import Step, Units, Workload, image_rows, macs
from paredown.space.operations import Operation, Structure, count_parameters, list_operations

WIDTH, UNITS, TOKENS = 16, 24, 8
STRUCTURE = Structure(mels=40, strides=(2, 3), positions="relative", encoder_heads=2, decoder_heads=2)


def layer(path: str, group: str, *shape: int, embedding: bool = False) -> LayerInfo:
    return LayerInfo(path, group, shape, "embedding" if embedding else "linear" if len(shape) == 2 else "conv")


def encoder_block(index: int) -> list[LayerInfo]:
    path = f"encoder.encoders.{index}"
    found = [layer(f"{path}.self_attn.linear_{part}", "encoder.self_attn", WIDTH, WIDTH) for part in ("q", "k", "v", "out", "pos")]
    for name in ("feed_forward", "feed_forward_macaron"):
        found.append(layer(f"{path}.{name}.w_1", "encoder.feed_forward", UNITS, WIDTH))
        found.append(layer(f"{path}.{name}.w_2", "encoder.feed_forward", WIDTH, UNITS))
    return [
        *found,
        layer(f"{path}.conv_module.pointwise_conv1", "encoder.conv", 2 * WIDTH, WIDTH, 1),
        layer(f"{path}.conv_module.depthwise_conv", "encoder.conv", WIDTH, 1, 5),
        layer(f"{path}.conv_module.pointwise_conv2", "encoder.conv", WIDTH, WIDTH, 1),
    ]


def decoder_block(index: int) -> list[LayerInfo]:
    path = f"decoder.decoders.{index}"
    found = [
        layer(f"{path}.{attention}.linear_{part}", group, WIDTH, WIDTH)
        for attention, group in (("self_attn", "decoder.self_attn"), ("src_attn", "decoder.cross_attn"))
        for part in ("q", "k", "v", "out")
    ]
    found.append(layer(f"{path}.feed_forward.w_1", "decoder.feed_forward", UNITS, WIDTH))
    return [*found, layer(f"{path}.feed_forward.w_2", "decoder.feed_forward", WIDTH, UNITS)]


INVENTORY = Inventory(
    layers=(
        layer("encoder.embed.conv.0", "encoder.subsampling", WIDTH, 1, 3, 3),
        layer("encoder.embed.conv.2", "encoder.subsampling", WIDTH, WIDTH, 5, 5),
        layer("encoder.embed.out.0", "encoder.subsampling", WIDTH, WIDTH * 5),
        *encoder_block(0),
        *encoder_block(1),
        layer("decoder.embed.0", "decoder.embed", TOKENS, WIDTH, embedding=True),
        *decoder_block(0),
        *decoder_block(1),
        *decoder_block(2),
        layer("decoder.output_layer", "decoder.output", TOKENS, WIDTH),
        layer("st_ctc.ctc_lo", "ctc", TOKENS, WIDTH),
    ),
    vectors=(
        ("encoder.encoders.0.norm_ff.weight", WIDTH),
        ("encoder.encoders.0.norm_ff.bias", WIDTH),
        ("encoder.encoders.1.conv_module.norm.weight", WIDTH),
        ("encoder.encoders.1.conv_module.norm.bias", WIDTH),
        ("decoder.decoders.2.norm1.weight", WIDTH),
        ("decoder.decoders.2.norm1.bias", WIDTH),
    ),
    blocks=(("encoder", 2), ("decoder", 3)),
)
WORKLOAD = Workload.fixed(frames=100, tokens=3, beam=4)
# By hand. 100 frames behind (kernel 3, stride 2) are 49, behind (5, 3) 15 states; 40 bands are 19, then 5.
STATES = 15
SUBSAMPLING = 49 * 19 * 16 * 9 + 15 * 5 * 16 * 16 * 25 + 15 * 16 * 80
FEED_FORWARD = 2 * 16 * 24
ENCODER_BLOCK = (
    15 * (2 * FEED_FORWARD + 4 * 256)  # two feed-forwards; queries, keys, values, output
    + 15 * (16 * 32 + 16 * 5 + 256)  # convolution module: pointwise, depthwise, pointwise
    + 30 * 256  # twice as many positions as states, projected
    + 15 * 30 * 16  # queries with positions
    + 2 * 15 * 15 * 16  # queries with keys; weights with values
)
MEMORY_OF_BLOCK = 15 * 2 * 256  # keys and values, once
# Steps of 1, 4 and 4 hypotheses over 0, 1 and 5 nodes before them: 1 * 1 + 4 * 5 + 4 * 9 pairs.
ROWS, NODE_PAIRS = 9, 57
DECODER_BLOCK = ROWS * (4 * 256 + 2 * 256 + FEED_FORWARD) + 2 * 16 * NODE_PAIRS + 2 * 16 * ROWS * STATES
OUTPUT = ROWS * 16 * 8


def operations(configuration: Configuration | None = None, structure: Structure = STRUCTURE) -> tuple[Operation, ...]:
    kernels: dict[str, Kernel] = {found.path: "fp32" for found in INVENTORY.layers}
    return list_operations(INVENTORY, configuration or Configuration(), structure, kernels)


def test_macs_equal_a_hand_count() -> None:
    by_hand = SUBSAMPLING + 2 * ENCODER_BLOCK + 3 * MEMORY_OF_BLOCK + 3 * DECODER_BLOCK + OUTPUT
    assert by_hand == 884_496
    assert macs(operations(), STRUCTURE, WORKLOAD) == by_hand


def test_dropped_blocks_are_not_counted_and_take_their_part_of_the_memory_along() -> None:
    kept = Configuration(keep=(("encoder", (1,)), ("decoder", (0, 2))))
    by_hand = SUBSAMPLING + ENCODER_BLOCK + 2 * MEMORY_OF_BLOCK + 2 * DECODER_BLOCK + OUTPUT
    assert macs(operations(kept), STRUCTURE, WORKLOAD) == by_hand


def test_the_ctc_counts_where_it_takes_part() -> None:
    joint = Configuration(decode=Decode(ctc_weight=0.3))
    assert macs(operations(joint), STRUCTURE, WORKLOAD) - macs(operations(), STRUCTURE, WORKLOAD) == STATES * 16 * 8


def test_legacy_positions_are_as_many_as_states_and_absolute_ones_cost_no_product() -> None:
    latest = macs(operations(), STRUCTURE, WORKLOAD)
    legacy = Structure(40, (2, 3), "relative_legacy", 2, 2)
    assert latest - macs(operations(structure=legacy), legacy, WORKLOAD) == 2 * (15 * 256 + 15 * 15 * 16)
    absolute = Structure(40, (2, 3), "absolute", 2, 2)
    assert [found.kind for found in operations(structure=absolute)].count("position_scores") == 0


def test_parameters_are_those_of_kept_blocks_without_batch_norms() -> None:
    layers = sum(found.weights for found in INVENTORY.layers)
    assert count_parameters(INVENTORY, Configuration()) == layers + 4 * WIDTH
    dropped = count_parameters(INVENTORY, Configuration(keep=(("decoder", (0, 1)),)))
    assert dropped == layers + 2 * WIDTH - (8 * 256 + FEED_FORWARD)


def test_units_and_calls_of_an_utterance() -> None:
    found = operations()
    units = Units.of(found, STRUCTURE, WORKLOAD)
    assert (units.states, units.positions, units.hypotheses, units.node_pairs, units.steps) == (15, 30, 9, 57, 3)
    step = next(operation for operation in found if operation.path == "decoder.output_layer" and operation.kind == "product")
    assert (units.count(step), units.calls(step), step.is_step) == (9, 3, True)
    once = next(operation for operation in found if operation.path.endswith("src_attn.linear_k"))
    assert (units.count(once), units.calls(once), once.stage) == (15, 1, "encoder")


def test_steps_that_are_known_are_counted_as_they_were() -> None:
    swept = Workload(100, (Step(1, 0), Step(4, 1), Step(4, 3)))
    fewer_pairs = macs(operations(), STRUCTURE, WORKLOAD) - macs(operations(), STRUCTURE, swept)
    assert fewer_pairs == 3 * 2 * 16 * (4 * 9 - 4 * 7)


def test_impossible_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="frames enough for the subsampling, got 10"):
        macs(operations(), STRUCTURE, Workload.fixed(10, 3, 4))
    with pytest.raises(ValueError, match="at least 1 hypothesis and 0 nodes, got 0 and 3"):
        Step(0, 3)
    with pytest.raises(ValueError, match="a beam of 1, got 3 and 0"):
        Workload.fixed(100, 3, 0)
    with pytest.raises(ValueError, match="strides must be one or more"):
        Structure(40, (), "absolute", 2, 2)


def test_rows_behind_convolutions_by_sliding_windows() -> None:
    for frames in range(11, 60):
        windows = len(range(0, frames - 3 + 1, 2))
        assert image_rows(frames, ((3, 2), (5, 3))) == len(range(0, windows - 5 + 1, 3))
