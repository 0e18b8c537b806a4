"""Narrowed and factorized networks against the original with zeros put in by hand, and the schedule's order."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.compress.calibration import Calibration, LayerMoment  # noqa: E402
from paredown.compress.compress import CompressedModel  # noqa: E402
from paredown.compress.gptq import quantize_calibrated  # noqa: E402
from paredown.compress.memo import Memo  # noqa: E402
from paredown.compress.network import compress_model, dense_network, padded_network  # noqa: E402
from paredown.compress.tensors import Quantized  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model  # noqa: E402
from paredown.models.network import Network  # noqa: E402
from paredown.space.configuration import TRANSFORMATIONS, Configuration, Scheme  # noqa: E402
from paredown.space.reduced import reduce_inventory  # noqa: E402
from tests.bundle.models import make_model  # noqa: E402
from tests.models.checkpoints import ENCODERS  # noqa: E402

# Sums of at most a few dozen float32 products in another order, through five blocks of values near one.
CLOSE = {"atol": 2e-5, "rtol": 1e-5}
FACTORIZE_FIRST = ("drop", "factorize", "narrow", "prune", "quantize")
FF, SELF, CROSS = "decoder.decoders.1.feed_forward", "encoder.encoders.0.self_attn", "decoder.decoders.2.src_attn"


@cache
def model_of(name: str) -> Model:
    return make_model(ENCODERS[name]["encoder"], {"attention_heads": 4}, **{**ENCODERS[name]["encoder_conf"], "attention_heads": 4})


def small() -> Model:
    return model_of("conformer-latest")


@torch.inference_mode()
def outputs(network: Network) -> list[Any]:
    features = torch.randn(1, 120, 40, generator=torch.Generator().manual_seed(0))
    states, steps = network.encode(features, torch.tensor([120]))
    return [states, network.decoder(states, steps, torch.tensor([[7, 2, 3, 4, 5]]), torch.tensor([5]))[0]]


def copied(model: Model) -> Network:
    import copy

    return copy.deepcopy(model.network)


def same(one: Network, other: Network) -> bool:
    return all(torch.allclose(found, wanted, **CLOSE) for found, wanted in zip(outputs(one), outputs(other), strict=True))


def importance(network: Network, path: str) -> Any:
    block = network.get_submodule(path)
    return block.w_1.weight.norm(dim=1) * block.w_2.weight.norm(dim=0)


@torch.no_grad()
def silence_units(network: Network, path: str, keep: Sequence[int]) -> None:
    gone = torch.ones(network.get_submodule(f"{path}.w_2").weight.shape[1], dtype=torch.bool)
    gone[list(keep)] = False
    network.get_submodule(f"{path}.w_2").weight[:, gone] = 0.0


@torch.no_grad()
def silence_heads(network: Network, path: str, keep: Sequence[int]) -> None:
    attention: Any = network.get_submodule(path)
    for head in set(range(attention.h)) - set(keep):
        attention.linear_out.weight[:, head * attention.d_k : (head + 1) * attention.d_k] = 0.0


@torch.no_grad()
def truncate(network: Network, path: str, rank: int) -> None:
    weight = network.get_submodule(path).weight
    left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    weight.copy_((left[:, :rank] * values[:rank]) @ right[:rank])


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_narrowed_network_is_the_original_with_its_least_units_silenced(name: str) -> None:
    model = model_of(name)
    width = {path: 1 + 5 * number % units for number, (path, units) in enumerate(model.inventory().feed_forwards.items())}
    compressed = compress_model(model, Configuration(width=tuple(width.items())))
    expected = copied(model)
    for path, units in width.items():
        silence_units(expected, path, importance(model.network, path).argsort(descending=True, stable=True)[:units].tolist())
    narrowed = dense_network(model, compressed)
    assert narrowed.get_submodule(f"{next(iter(width))}.w_1").weight.shape[0] == next(iter(width.values()))
    assert same(narrowed, expected)
    assert not same(narrowed, model.network)
    assert same(padded_network(model, compressed), expected)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_fewer_heads_are_the_original_with_the_others_silenced(name: str) -> None:
    model = model_of(name)
    picks = ((0, 3), (2,), (1, 2, 3), (0, 1, 2, 3), (1,))
    heads = {path: picks[number % len(picks)] for number, (path, _) in enumerate(model.inventory().heads)}
    compressed = compress_model(model, Configuration(heads=tuple(heads.items())))
    expected = copied(model)
    for path, kept in heads.items():
        silence_heads(expected, path, kept)
    fewer = dense_network(model, compressed)
    assert {path: fewer.get_submodule(path).h for path in heads} == {path: len(kept) for path, kept in heads.items()}
    assert same(fewer, expected)
    assert not same(fewer, model.network)
    assert same(padded_network(model, compressed), expected)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_factors_compute_what_the_nearest_matrix_of_that_rank_does(name: str) -> None:
    model = model_of(name)
    rank = {f"{path}.w_{1 + number % 2}": 2 + number for number, path in enumerate(model.inventory().feed_forwards)}
    compressed = compress_model(model, Configuration(rank=tuple(rank.items())))
    expected = copied(model)
    for path, size in rank.items():
        truncate(expected, path, size)
    assert same(dense_network(model, compressed), expected)
    assert not same(expected, model.network)
    assert same(padded_network(model, compressed), expected)


def test_everything_together_with_a_dropped_block() -> None:
    model, width, heads = small(), 9, (1, 3)
    configuration = Configuration(keep=(("encoder", (0,)), ("decoder", (1, 2))), width=((FF, width),), rank=((f"{FF}.w_2", 4),))
    configuration = replace(configuration, heads=((SELF, heads), (CROSS, heads)))
    expected = copied(model)
    kept = importance(model.network, FF).argsort(descending=True, stable=True)[:width].sort().values
    silence_units(expected, FF, kept.tolist())
    truncate(expected, f"{FF}.w_2", 4)  # zero columns stay zero: their part of every right vector is
    silence_heads(expected, SELF, heads)
    silence_heads(expected, CROSS, heads)
    del expected.encoder.encoders[1], expected.decoder.decoders[0]
    assert same(dense_network(model, compress_model(model, configuration)), expected)


def test_narrowing_behind_a_factorization_cuts_the_factors_of_the_whole_matrix() -> None:
    model, width, rank = small(), 11, 3
    configuration = Configuration(width=((FF, width),), rank=((f"{FF}.w_1", rank), (f"{FF}.w_2", rank)))
    expected = copied(model)
    for part in ("w_1", "w_2"):
        truncate(expected, f"{FF}.{part}", rank)
    silence_units(expected, FF, importance(model.network, FF).argsort(descending=True, stable=True)[:width].tolist())
    behind = compress_model(model, replace(configuration, schedule=FACTORIZE_FIRST))
    assert same(dense_network(model, behind), expected)
    before = compress_model(model, configuration)
    assert {name: tensor.shape for name, tensor in before.tensors.items()} == {
        name: tensor.shape for name, tensor in behind.tensors.items()
    }
    assert not same(dense_network(model, before), expected)


@pytest.mark.parametrize("place", range(4))
def test_where_blocks_are_dropped_makes_no_difference(place: int) -> None:
    model, rest = small(), list(TRANSFORMATIONS[1:-2])
    configuration = Configuration(
        keep=(("decoder", (1,)),), width=((FF, 5),), rank=((f"{FF}.w_1", 2),), sparsity=(("decoder.feed_forward", 0.4),)
    )
    schedule = (*rest[:place], "drop", *rest[place:], "prune", "quantize")
    found = compress_model(model, replace(configuration, schedule=schedule))
    wanted = compress_model(model, configuration)
    assert all(np.array_equal(found.tensors[name], tensor) for name, tensor in wanted.tensors.items())


def test_units_of_a_supernet_stand_in_order() -> None:
    configuration = Configuration(width=((FF, 6),), schedule=("supernet:" + "0" * 64, *TRANSFORMATIONS))
    first = compress_model(small(), configuration).tensors[f"{FF}.w_1.weight"]
    assert np.array_equal(first, small().network.get_submodule(f"{FF}.w_1").weight.detach().numpy()[:6])


def test_pruning_ranks_what_is_left() -> None:
    configuration = Configuration(
        width=((FF, 6),), rank=((f"{FF}.w_2", 2),), keep=(("decoder", (1,)),), sparsity=(("decoder.feed_forward", 0.5),)
    )
    compressed = compress_model(small(), configuration)
    plain = compress_model(small(), replace(configuration, sparsity=()))
    names = [f"{FF}.{part}.weight" for part in ("w_1", "w_2.down", "w_2.up")]
    before = np.concatenate([plain.tensors[name].ravel() for name in names])
    after = np.concatenate([compressed.tensors[name].ravel() for name in names])
    assert np.array_equal(after, np.where(np.abs(before) > np.sort(np.abs(before))[round(0.5 * before.size) - 1], before, 0))


def test_sixteen_bits_are_the_numbers_of_half_precision() -> None:
    compressed = compress_model(small(), Configuration(bits=((f"{FF}.w_1", 16), (f"{FF}.w_2", 16)), rank=((f"{FF}.w_2", 3),)))
    plain = compress_model(small(), Configuration(rank=((f"{FF}.w_2", 3),)))
    for part in ("w_1", "w_2.down", "w_2.up"):
        found, whole = (one.tensors[f"{FF}.{part}.weight"] for one in (compressed, plain))
        assert np.array_equal(found, whole.astype(np.float16).astype(np.float32))
        assert not np.array_equal(found, whole)


def calibration() -> tuple[Calibration, np.ndarray]:
    """Of the hidden units of `FF`, and the inputs [n, units] that it was made of."""
    units = small().inventory().feed_forwards[FF]
    rows = np.random.default_rng(0).standard_normal((200, units)) @ np.random.default_rng(1).standard_normal((units, units))
    moment = rows.T @ rows / len(rows)
    return Calibration((LayerMoment((f"{FF}.w_2",), (moment + moment.T) / 2),), (), "5" * 64, 1), rows


def calibrated(**parts: Any) -> CompressedModel:
    configuration = Configuration(bits=((f"{FF}.w_2", 3),), scheme=Scheme(method="gptq"), **parts)
    return compress_model(small(), configuration, calibration=calibration()[0])


@pytest.mark.parametrize("schedule", [TRANSFORMATIONS, FACTORIZE_FIRST])
def test_calibrated_codes_of_factors_and_narrowed_layers_see_what_those_read(schedule: tuple[str, ...]) -> None:
    shape: dict[str, Any] = {"width": ((FF, 9),), "rank": ((f"{FF}.w_2", 4),), "schedule": schedule}
    plain = compress_model(small(), Configuration(**shape)).tensors
    found, rows = calibrated(**shape), calibration()[1]
    kept = np.sort(np.argsort(-importance(small().network, FF).detach().numpy(), kind="stable")[:9])
    for name, read in (("down", rows[:, kept]), ("up", rows[:, kept] @ plain[f"{FF}.w_2.down.weight"].T.astype(np.float64))):
        wanted = quantize_calibrated(plain[f"{FF}.w_2.{name}.weight"], 3, read.T @ read / len(read))
        codes = found.tensors[f"{FF}.w_2.{name}.weight"]
        assert isinstance(codes, Quantized)
        # The same moment but for the order of its sums: codes agree but where one lies next to a tie.
        assert np.mean(codes.codes != wanted.codes) < 0.02
        assert np.allclose(codes.scales, wanted.scales, rtol=0.02)


def test_a_memo_serves_all_shapes_of_a_model() -> None:
    memo: Memo = {}
    shapes: list[dict[str, Any]] = [
        {"rank": ((f"{FF}.w_1", 3),)},
        {"rank": ((f"{FF}.w_1", 5),)},
        {"rank": ((f"{FF}.w_1", 3),), "width": ((FF, 9),)},
        {"rank": ((f"{FF}.w_1", 3),), "width": ((FF, 9),), "schedule": FACTORIZE_FIRST},
        {"rank": ((f"{FF}.w_1", 3),), "width": ((FF, 10),)},
        {"rank": ((f"{FF}.w_1", 3),), "width": ((FF, 9),), "schedule": ("supernet:" + "0" * 64, *TRANSFORMATIONS)},
        {"width": ((FF, 9),)},
        {},
    ]
    bits = tuple((f"{FF}.w_{part}", 4) for part in (1, 2))
    for _ in range(2):
        for shape in shapes:
            configuration = Configuration(bits=bits, **shape)
            found, alone = compress_model(small(), configuration, memo), compress_model(small(), configuration)
            for name, tensor in alone.tensors.items():
                if isinstance(tensor, Quantized):
                    assert np.array_equal(found.tensors[name].codes, tensor.codes)
                    assert np.array_equal(found.tensors[name].scales, tensor.scales)
                else:
                    assert np.array_equal(found.tensors[name], tensor)


REFUSED = {
    "a feed-forward": ({"width": (("decoder.decoders.1.src_attn", 4),)}, "widths must name feed-forwards"),
    "a width": ({"width": ((FF, 25),)}, r"must lie in \[1, 24\], got 25"),
    "a dropped part": ({"width": ((FF, 5),), "keep": (("decoder", (0,)),)}, "parts of kept blocks"),
    "a head": ({"heads": ((SELF, (4,)),)}, r"must lie in \[0, 3\]"),
    "a rank": ({"rank": ((f"{FF}.w_1", 17),)}, r"must lie in \[1, 16\], got 17"),
    "a rank of what is narrow": ({"rank": ((f"{FF}.w_1", 8),), "width": ((FF, 7),)}, r"must lie in \[1, 7\], got 8"),
    "a layer": ({"rank": (("decoder.output_layer", 4),)}, "ranks must name layers w_1 and w_2"),
    "codes of 16 bits": (
        {"bits": ((f"{FF}.w_1", 16),), "kernels": ((f"{FF}.w_1", "nbits"),)},
        "kernel nbits takes layers of 2 to 8 bits, got 16",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_in_a_line_before_anything_is_made(what: str) -> None:
    parts, rule = REFUSED[what]
    with pytest.raises(BadInput, match=rule) as refused:
        compress_model(small(), Configuration(**parts))
    assert "\n" not in str(refused.value)


def test_the_reduced_inventory_is_what_is_left() -> None:
    configuration = Configuration(width=((FF, 5),), rank=((f"{FF}.w_1", 3),), heads=((SELF, (0, 2)),), keep=(("decoder", (1,)),))
    reduced, tensors = reduce_inventory(small().inventory(), configuration), compress_model(small(), configuration).tensors
    assert {f"{layer.path}.weight": layer.shape for layer in reduced.layers}.items() <= {n: t.shape for n, t in tensors.items()}.items()
    assert {name: tensors[name].size for name, _ in reduced.vectors} == dict(reduced.vectors)
    assert len(tensors) == len(reduced.layers) + len(reduced.vectors)
