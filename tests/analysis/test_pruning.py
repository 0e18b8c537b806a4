"""Pruning curves: every group of every network equal to the direct computation, and kept on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.analysis.posteriors import Start
from paredown.analysis.pruning import PruningCurves, measure_pruning
from paredown.models.groups import group_parameters
from paredown.models.network import Network
from tests.analysis.test_kl import SOS, network_of, samples
from tests.analysis.whole_network import changed, direct_divergence
from tests.models.checkpoints import ENCODERS

SHARES = (0.3, 0.9)


def ranked(network: Network) -> dict[str, tuple[str, ...]]:
    groups = {group: tuple(name for name in names if name.endswith(".weight")) for group, names in group_parameters(network).items()}
    with torch.no_grad():  # norms of one size would be pruned in the order of the network alone
        for name in (name for names in groups.values() for name in names if network.get_parameter(name).ndim == 1):
            network.get_parameter(name).add_(torch.linspace(0.0, 0.5, network.get_parameter(name).numel()))
    return groups


def prune_smallest(names: tuple[str, ...], share: float) -> Callable[[Network], None]:
    """By sorting all weights of the group, one list."""

    def change(network: Network) -> None:
        flat = [network.get_parameter(name).view(-1) for name in names]
        places = [(name, index) for name, weight in enumerate(flat) for index in range(len(weight))]
        order = np.argsort(np.abs(np.concatenate([weight.detach().numpy() for weight in flat])), kind="stable")
        for place in order[: round(share * len(places))].tolist():
            flat[places[place][0]].detach()[places[place][1]] = 0.0

    return change


@pytest.mark.parametrize("encoder", [*ENCODERS, "asr"])
def test_equals_the_direct_computation(encoder: str) -> None:
    network = network_of(encoder)
    groups = ranked(network)
    assert len(groups) >= 10
    found = measure_pruning(network, groups, samples(), SOS, shares=SHARES)
    for row, (group, names) in enumerate(groups.items()):
        for column, share in enumerate(SHARES):
            expected = direct_divergence(network, changed(network, prune_smallest(names, share)), samples(), SOS)
            assert expected > 0
            assert found[row, column] == pytest.approx(expected, rel=1e-4), (group, share)  # as of the KL table


def test_does_not_depend_on_threads_and_leaves_the_network() -> None:
    network, calls = network_of("transformer"), []
    groups = {group: names for group, names in ranked(network).items() if group.startswith("decoder")}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    alone = measure_pruning(network, groups, samples(), SOS, shares=SHARES)
    several = measure_pruning(
        network, groups, samples(), SOS, shares=SHARES, threads=3, progress=lambda done, total: calls.append((done, total))
    )
    assert np.array_equal(alone, several)
    assert calls[-1] == (2 * len(groups), 2 * len(groups))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["encoder.embed.conv.0.weight"], Start(-1, None)),
        (["encoder.encoders.1.norm_ff.weight", "encoder.after_norm.weight"], Start(1, None)),
        (["encoder.after_norm.bias"], Start(2, None)),
        (["decoder.embed.0.weight"], Start(None, -1)),
        (["decoder.decoders.1.src_attn.linear_q.weight", "decoder.after_norm.weight"], Start(None, 1)),
        (["decoder.after_norm.weight"], Start(None, 2)),
        (["decoder.output_layer.bias"], Start(None, 2)),
        (["ctc.ctc_lo.weight"], Start(None, None, frozenset({"ctc"}))),
        (["encoder.encoders.0.self_attn.pos_bias_u", "decoder.embed.0.weight"], Start(0, -1)),
    ],
)
def test_a_pass_starts_as_late_as_it_can(names: list[str], start: Start) -> None:
    assert Start.of(network_of("conformer-latest"), names) == start


def curves(**changes: object) -> PruningCurves:
    values = np.random.default_rng(0).random((2, 3))
    parts = {"shares": (0.1, 0.5, 0.9), "values": values, "metric": "divergence", "unpruned": 0.0, "subset": "5 of ä", "seconds": 1.5}
    return PruningCurves(**({"groups": ("ctc", "decoder.embed")} | parts | changes))


def test_saved_curves_come_back_as_they_were(tmp_path: Path) -> None:
    for one in (curves(), curves(groups=(), values=np.zeros((0, 3)))):
        one.save(tmp_path / "curves.npz")
        found = PruningCurves.load(tmp_path / "curves.npz")
        assert np.array_equal(found.values, one.values)
        names = ("groups", "shares", "metric", "unpruned", "subset", "seconds")
        assert [getattr(found, name) for name in names] == [getattr(one, name) for name in names]


@pytest.mark.parametrize("description", ['{"kind": "pruning curves"}', '{"kind": "other"}', "[]", "no JSON"])
def test_a_damaged_file_is_refused(description: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "curves.npz", array=np.zeros((2, 3)), description=np.array(description))
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        PruningCurves.load(tmp_path / "curves.npz")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"values": np.zeros((3, 3))}, r"must be float64 \(2, 3\)"),
        ({"values": np.full((2, 3), np.nan)}, "finite and not negative"),
        ({"shares": (0.5, 0.1, 0.9)}, "must ascend between 0 and 1"),
        ({"shares": (0.0, 0.1, 0.9)}, "must ascend between 0 and 1"),
    ],
)
def test_impossible_curves_are_refused(change: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        curves(**change)
