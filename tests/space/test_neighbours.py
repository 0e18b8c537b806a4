"""Neighbours by brute force on small spaces, and that each is one step away and still of its space."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pytest

from paredown.space.axes.base import SearchSpace
from paredown.space.axes.bit_rules import BitRules, Same
from paredown.space.axes.bits import BitsAxis
from paredown.space.axes.decode import DecodeAxis
from paredown.space.axes.heads import HeadsAxis
from paredown.space.axes.input import InputAxis
from paredown.space.axes.layers import LayersAxis, is_kept
from paredown.space.axes.rank import RankAxis
from paredown.space.axes.sparsity import SparsityAxis
from paredown.space.axes.width import WidthAxis
from paredown.space.configuration import Configuration, Input
from paredown.space.inventory import LayerInfo, block_of
from paredown.space.neighbours import Neighbour, average_of, is_of, neighbours
from paredown.space.reduced import check_reductions
from tests.space.axes.families import inventory, ranks, widths

CHOICES = (2, 3, 4, 6)
ATTENTIONS = tuple(f"decoder.decoders.{block}.src_attn" for block in range(3))
OUTPUTS = tuple(LayerInfo(f"{path}.linear_out", "decoder.cross_attn", (16, 16), "linear") for path in ATTENTIONS)
MODEL = replace(inventory(), layers=(*inventory().layers, *OUTPUTS), heads=tuple((path, 4) for path in ATTENTIONS))
PATHS = tuple(layer.path for layer in MODEL.layers)
KL = np.random.default_rng(5).lognormal(0, 1, (len(PATHS), 1)) * 4.0 ** -np.array(CHOICES)
RULES = [
    BitRules(),
    BitRules.of({"decoder": 3, "encoder.encoders.1": 4}, {}, "layer"),
    BitRules.of({}, {"decoder.decoders.0": 6, "encoder.encoders.0.feed_forward": 32}, "layer"),
    BitRules.of({"decoder.decoders.1": 3}, {"decoder.decoders.2": 16}, "block"),
]


def bits_axis(rules: BitRules) -> BitsAxis:
    return BitsAxis(MODEL, PATHS, CHOICES, KL, 3.5, 6.0, rules=rules)


def space_of(*axes: object) -> SearchSpace:
    return SearchSpace(axes, Configuration(bits=tuple((path, 6) for path in PATHS)))  # type: ignore[arg-type]


def whole() -> SearchSpace:
    """Every axis."""
    return space_of(
        LayersAxis("decoder", 3, (1, 0), 1, 3),
        HeadsAxis(MODEL, dict.fromkeys(ATTENTIONS, (0.4, 0.1, 0.3, 0.2)), 0.5),
        WidthAxis(MODEL, widths(), 0.0, 0.4),
        RankAxis(MODEL, ranks(), 0.0, 0.4),
        SparsityAxis(("encoder.feed_forward", "decoder.cross_attn"), 0.5),
        InputAxis(160, (160, 200, 300), (Input(), Input(sample_rate_hz=8000))),
        DecodeAxis(beam_size=(1, 10), ctc_weight=(0.0, 0.3), length_bonus=(-0.5, 0.5)),
        bits_axis(BitRules.of({"decoder": 3}, {}, "layer")),
    )


def start(space: SearchSpace, turn: int) -> Configuration:
    """A configuration drawn from the knobs."""
    rng = np.random.default_rng(turn)
    values = {
        knob.name: knob.checked(rng.integers(knob.low, knob.high + 1) if knob.integer else rng.uniform(knob.low, knob.high))
        for knob in space.knobs
    }
    return space.resolve(values)


def by_kind(space: SearchSpace, configuration: Configuration) -> dict[str, list[Neighbour]]:
    found: dict[str, list[Neighbour]] = {}
    for neighbour in neighbours(space, configuration):
        found.setdefault(neighbour.kind, []).append(neighbour)
    return found


def may_have(rules: BitRules, bits: Mapping[str, int], same: Same) -> bool:
    """Whether the rules allow these bits, layer by layer and block by block."""
    for layer in MODEL.layers:
        fixed = rules.fixed_of(layer)
        if fixed is None and not (bits[layer.path] in CHOICES and bits[layer.path] >= rules.least_of(layer)):
            return False
        if fixed is not None and bits.get(layer.path, 32) != fixed:
            return False
    blocks: dict[object, set[int]] = {}
    for layer in MODEL.layers:
        if rules.fixed_of(layer) is None and block_of(layer.path) is not None and same == "block":
            blocks.setdefault(block_of(layer.path), set()).add(bits[layer.path])
    return all(len(widths_of_one) == 1 for widths_of_one in blocks.values())


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("average", [3.6, 4.4, 6.0])
def test_bits_against_all_single_steps(rules: BitRules, average: float) -> None:
    """Brute force: every layer, or block, to the next choice, kept where the rules allow it."""
    axis = bits_axis(rules)
    space = space_of(axis)
    here = space.resolve({"bits.average": average})
    units: dict[object, list[str]] = {}
    for layer in MODEL.layers:
        if rules.fixed_of(layer) is None:
            units.setdefault(rules.share_of(layer), []).append(layer.path)
    expected = set()
    for paths in units.values():
        for step in (-1, 1):
            place = CHOICES.index(here.bits_of[paths[0]]) + step
            if 0 <= place < len(CHOICES):
                bits = here.bits_of | dict.fromkeys(paths, CHOICES[place])
                if may_have(rules, bits, rules.same):
                    expected.add(replace(here, bits=tuple(bits.items())))
    found = [neighbour.configuration for neighbour in neighbours(space, here)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_the_most_promising_layer_loses_least_for_its_bytes() -> None:
    axis = bits_axis(BitRules())
    space = space_of(axis)
    here = space.resolve({"bits.average": 4.4})
    for kind, sign in (("bits down", 1), ("bits up", -1)):
        found = by_kind(space, here)[kind]
        rates = []
        for neighbour in found:
            ((row, path),) = [(row, path) for row, path in enumerate(PATHS) if neighbour.configuration.bits_of[path] != here.bits_of[path]]
            before, after = CHOICES.index(here.bits_of[path]), CHOICES.index(neighbour.configuration.bits_of[path])
            weights = MODEL.by_path[path].weights * sign * (CHOICES[before] - CHOICES[after]) / 8
            rates.append((sign * (KL[row, after] - KL[row, before]) / weights, neighbour.promise))
        by_rate = sorted(rates, key=lambda pair: sign * pair[0])
        assert [promise for _, promise in by_rate] == sorted((promise for _, promise in rates), reverse=True)


@pytest.mark.parametrize("turn", range(12))
def test_every_neighbour_is_one_step_away_and_of_the_space(turn: int) -> None:
    space = whole()
    here = start(space, turn)
    assert is_of(space, here)
    seen = set()
    for neighbour in neighbours(space, here):
        there = neighbour.configuration
        assert there != here
        assert there.digest not in seen
        seen.add(there.digest)
        assert is_of(space, there)
        check_reductions(MODEL, there)
        assert Configuration.from_json(there.to_json()) == there
        changed = {entry.name for entry in fields(here) if getattr(here, entry.name) != getattr(there, entry.name)}
        axis = neighbour.kind.split()[0].split(".")[0]
        allowed = {
            "layers": {"keep", "bits", "width", "heads", "rank"},
            "width": {"width", "rank"},
            "decode": {"decode"},
            "input": {"input"},
        }
        assert changed, neighbour.kind
        assert changed <= allowed.get(axis, {axis}), neighbour.kind
        if neighbour.knob is not None:
            knob = next(one for one in space.knobs if one.name == neighbour.knob[0])
            knob.checked(neighbour.knob[1])


@pytest.mark.parametrize("turn", range(6))
def test_a_step_can_be_taken_back(turn: int) -> None:
    """But for blocks, whose layers come back with usual bits, and widths, whose ranks may have had to shrink."""
    space = whole()
    here = start(space, turn)
    for neighbour in neighbours(space, here):
        if neighbour.kind.split()[0] in ("layers", "width"):
            continue
        back = {other.configuration for other in neighbours(space, neighbour.configuration)}
        # a share that is no multiple of the step, and the ends of a range, lose the way back; here all are multiples
        assert here in back, neighbour.kind


def test_a_block_comes_back_with_the_bits_of_its_like() -> None:
    space = space_of(LayersAxis("decoder", 3, (1, 0), 1, 3), bits_axis(BitRules()))
    here = space.resolve({"layers.decoder": 2, "bits.average": 4.0})
    bits = here.bits_of | {path: 3 for path in here.bits_of if path.endswith("w_1") and path.startswith("decoder")}
    (up,) = by_kind(space, replace(here, bits=tuple(bits.items())))["layers up"]
    assert up.configuration.keep == ()
    assert up.configuration.bits_of["decoder.decoders.1.feed_forward.w_1"] == 3
    assert up.knob == ("layers.decoder", 3)
    (down,) = by_kind(space, here)["layers down"]
    assert down.configuration.keep_of == {"decoder": (2,)}
    assert all(is_kept(path, down.configuration) for path in down.configuration.bits_of)


def test_what_no_axis_varies_stays() -> None:
    space = space_of(DecodeAxis(beam_size=(1, 10)))
    here = space.resolve({"decode.beam_size": 10})
    assert [(one.kind, one.configuration.decode.beam_size) for one in neighbours(space, here)] == [("decode.beam_size down", 9)]


def test_what_is_not_of_the_space_has_no_neighbours() -> None:
    space = whole()
    assert not list(neighbours(space, Configuration()))
    here = start(space, 0)
    assert not list(neighbours(space, replace(here, bits=tuple({**here.bits_of, next(iter(here.bits_of)): 5}.items()))))


def test_the_average_counts_the_weights_that_are_kept() -> None:
    axis = bits_axis(BitRules())
    bits = dict.fromkeys(PATHS, 4) | {PATHS[0]: 6}
    weights = {layer.path: layer.weights for layer in MODEL.layers}
    expected = sum(bits[path] * weights[path] for path in PATHS) / sum(weights.values())
    assert average_of(axis, Configuration(bits=tuple(bits.items()))) == pytest.approx(expected)
