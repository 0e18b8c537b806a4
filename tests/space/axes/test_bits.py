"""Axis `bits`: its rules against brute force over all allocations, and its bytes against those of what a configuration leaves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from paredown.space.axes.bit_rules import BitRules, Same
from paredown.space.axes.bits import BitsAxis
from paredown.space.configuration import Configuration
from paredown.space.cost import layer_bytes
from paredown.space.inventory import Inventory, LayerInfo
from paredown.space.reduced import original_path, reduce_inventory

CHOICES = (2, 3, 4, 6)


def inventory() -> Inventory:
    layers = [LayerInfo("encoder.embed.out.0", "encoder.subsampling", (3, 7), "linear")]
    for stack, blocks in (("encoder.encoders", 2), ("decoder.decoders", 2)):
        part = stack.split(".")[0]
        for block in range(blocks):
            layers.append(LayerInfo(f"{stack}.{block}.feed_forward.w_1", f"{part}.feed_forward", (20, 6), "linear"))
            layers.append(LayerInfo(f"{stack}.{block}.feed_forward.w_2", f"{part}.feed_forward", (6, 20), "linear"))
    layers.append(LayerInfo("decoder.output_layer", "decoder.output", (11, 6), "linear"))
    return Inventory(tuple(layers), (), (("encoder", 2), ("decoder", 2)))


LAYERS = inventory().layers
PATHS = tuple(layer.path for layer in LAYERS)
KL = np.random.default_rng(5).lognormal(0, 1, (len(PATHS), 1)) * 4.0 ** -np.array(CHOICES)


def rules(least: Mapping[str, int] | None = None, fixed: Mapping[str, int] | None = None, same: Same = "layer") -> BitRules:
    return BitRules.of(least or {}, fixed or {}, same)


def axis(low: float = 2.0, **changes: Any) -> BitsAxis:
    return BitsAxis(inventory(), PATHS, CHOICES, KL, low, 6.0, **changes)


def resolved(subject: BitsAxis, average: float, configuration: Configuration | None = None) -> Configuration:
    return subject.resolve({"bits.average": average}, configuration or Configuration(bits=tuple((path, 8) for path in PATHS)))


def bytes_of(configuration: Configuration, widths: Mapping[str, int]) -> int:
    reduced = reduce_inventory(inventory(), configuration)
    return sum(layer_bytes(part, widths[original_path(part.path)]) for part in reduced.layers if original_path(part.path) in widths)


def best_by_brute_force(subject: BitRules, average: float, configuration: Configuration) -> float:
    """Least summed KL of the free layers over all allocations that keep the rules and the bytes of the average."""
    free = [layer for layer in LAYERS if subject.fixed_of(layer) is None]
    sizes = np.array([[bytes_of(configuration, {layer.path: bits}) for bits in CHOICES] for layer in free])
    limit, shares = np.interp(average, CHOICES, sizes.sum(axis=0)), list(dict.fromkeys(subject.share_of(layer) for layer in free))
    every = np.indices((len(CHOICES),) * len(shares), dtype=np.int8).reshape(len(shares), -1)
    cost, size = np.zeros(every.shape[1]), np.zeros(every.shape[1])
    for layer, own in zip(free, sizes, strict=True):
        columns = every[shares.index(subject.share_of(layer))]
        cost += np.where(np.array(CHOICES)[columns] < subject.least_of(layer), np.inf, KL[PATHS.index(layer.path)][columns])
        size += own[columns]
    return float(cost[size <= limit + 1e-9].min())  # the limit lies on a straight line


NARROWED = Configuration(
    width=(("encoder.encoders.0.feed_forward", 9),),
    rank=(("decoder.decoders.1.feed_forward.w_1", 2), ("encoder.encoders.0.feed_forward.w_2", 3)),
)


@pytest.mark.parametrize(
    "subject",
    [
        rules(),
        rules(least={"decoder": 4, "decoder.output": 3}),
        rules(fixed={"decoder": 4}),
        rules(same="block"),
        rules(least={"encoder.encoders.1": 3}, fixed={"decoder.output": 16, "encoder.subsampling": 32}, same="block"),
    ],
    ids=["none", "decoder at least 4", "encoder only", "blocks", "all of them"],
)
@pytest.mark.parametrize("configuration", [Configuration(), NARROWED], ids=["whole", "reduced"])
@pytest.mark.parametrize("average", [3.3, 5.0])
def test_equals_brute_force_under_rules(subject: BitRules, configuration: Configuration, average: float) -> None:
    found = resolved(axis(low=3.3, rules=subject), average, configuration).bits_of
    for layer in LAYERS:
        fixed = subject.fixed_of(layer)
        assert found.get(layer.path, 32) == fixed if fixed is not None else found[layer.path] >= subject.least_of(layer)
    free = [layer for layer in LAYERS if subject.fixed_of(layer) is None]
    summed = sum(KL[PATHS.index(layer.path), CHOICES.index(found[layer.path])] for layer in free)
    assert summed == pytest.approx(best_by_brute_force(subject, average, configuration), rel=1e-12)  # sums in another order


def test_layers_of_a_block_share_their_width() -> None:
    found = resolved(axis(rules=rules(same="block")), 3.5).bits_of
    for block in ("encoder.encoders.0", "decoder.decoders.1"):
        assert len({bits for path, bits in found.items() if path.startswith(f"{block}.")}) == 1
    assert len(set(found.values())) > 1


def test_fixed_widths_leave_the_layer_out_or_in_half_precision() -> None:
    base = Configuration(bits=tuple((path, 8) for path in PATHS), kernels=(("decoder.output_layer", "fp32"), (PATHS[1], "fp32")))
    found = resolved(axis(rules=rules(fixed={"decoder.output": 32, "encoder.embed": 16})), 4.0, base)
    assert "decoder.output_layer" not in found.bits_of
    assert found.bits_of["encoder.embed.out.0"] == 16
    assert found.kernels == ((PATHS[1], "fp32"),)


def test_dropped_blocks_have_no_fixed_bits() -> None:
    found = resolved(axis(rules=rules(fixed={"decoder.feed_forward": 6})), 4.0, Configuration(keep=(("decoder", (1,)),)))
    assert not any(path.startswith("decoder.decoders.0.") for path in found.bits_of)
    assert found.bits_of["decoder.decoders.1.feed_forward.w_1"] == 6


def test_floors_beyond_the_average_are_taken_where_blocks_are_dropped() -> None:
    subject = axis(low=3.0, rules=rules(least={"decoder.feed_forward": 4}))
    found = resolved(subject, 3.0, Configuration(keep=(("encoder", (1,)),))).bits_of
    assert {bits for path, bits in found.items() if path.startswith("decoder.decoders")} == {4}


def test_survivors_are_counted_as_they_are() -> None:
    configuration = Configuration(sparsity=(("decoder.feed_forward", 0.5),))
    survivors = {"decoder.decoders.0.feed_forward.w_1": 120, "decoder.decoders.0.feed_forward.w_2": 0}
    even, exact = axis(), axis(survivors=lambda _: survivors)

    def total(subject: BitsAxis, left: Mapping[str, int]) -> tuple[int, float]:
        found = resolved(subject, 3.0, configuration).bits_of
        uniform = sum(layer_bytes(layer, 3, left.get(layer.path)) for layer in LAYERS)
        return sum(layer_bytes(layer, found[layer.path], left.get(layer.path)) for layer in LAYERS), uniform

    used, limit = total(exact, survivors)
    assert used <= limit
    evenly = {layer.path: layer.weights // 2 for layer in LAYERS if layer.group == "decoder.feed_forward"}
    used, limit = total(even, evenly)
    assert used <= limit
    assert resolved(even, 3.0, configuration) != resolved(exact, 3.0, configuration)


def test_the_nearest_corrected_table_holds() -> None:
    reversed_table = np.ascontiguousarray(KL[::-1])
    subject = axis(corrected={3.0: KL, 5.0: reversed_table})
    other = BitsAxis(inventory(), PATHS, CHOICES, reversed_table, 2.0, 6.0)
    assert resolved(subject, 3.9) == resolved(axis(), 3.9)
    assert resolved(subject, 4.0) == resolved(axis(), 4.0)
    assert resolved(subject, 4.1) == resolved(other, 4.1) != resolved(axis(), 4.1)


def test_descriptions_tell_rules_and_tables_apart() -> None:
    subjects = [
        axis(),
        axis(budget="bits"),
        axis(corrected={3.0: KL}),
        axis(corrected={4.0: KL}),
        *(axis(rules=each) for each in (rules(least={"encoder": 2}), rules(fixed={"decoder": 4}), rules(same="block"))),
    ]
    assert len({str(sorted(subject.describe().items())) for subject in subjects}) == len(subjects)


@pytest.mark.parametrize(
    ("least", "fixed", "same", "message"),
    [
        ({"decoder": 9}, {}, "layer", r"least bits must lie in \[2, 8\], got 9 for decoder"),
        ({}, {"decoder": 12}, "layer", r"fixed bits must lie in \[2, 8\] or be 16 or 32, got 12 for decoder"),
        ({}, {}, "stack", "same must be one of layer, block, got 'stack'"),
        ({"decodr": 4}, {}, "layer", "least bits must name layers of the model .*got 'decodr'"),
        ({}, {"decoder.decoder": 4}, "layer", "fixed bits must name layers of the model .*got 'decoder.decoder'"),
        ({"decoder": 4}, {"decoder.output": 3}, "layer", "must not be fixed below the least of 4, got 3 for decoder.output_layer"),
        ({"decoder": 7}, {}, "layer", r"least bits must lie within the bit-widths to choose from, \(2, 3, 4, 6\), got 7"),
        ({}, {"encoder": 4, "decoder": 32}, "layer", "must leave a layer free to choose, got every one fixed"),
        ({"decoder": 4}, {}, "layer", r"average bits must be at least 3\.\d+, what the least bits of all layers come to, got 2.0"),
    ],
)
def test_impossible_rules_are_named(least: dict[str, int], fixed: dict[str, int], same: Same, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        axis(rules=rules(least, fixed, same))
