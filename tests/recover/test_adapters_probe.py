"""The gap between two networks: zero for equal ones, hand-computed for known ones, padding left out."""

import math

import pytest
import torch

from paredown.models.network import Network, build_network
from paredown.recover.probe import Gap, Outputs, Probe, compute_outputs, make_probe, measure_gap
from tests.models.checkpoints import st_config


def _network() -> Network:
    torch.manual_seed(3)
    return build_network(st_config())


def test_equal_networks_have_no_gap_and_keep_their_modes() -> None:
    network = _network().train()
    network.encoder.after_norm.eval()
    probe = make_probe(network)
    first, second = compute_outputs(network, probe), compute_outputs(network, probe)
    assert measure_gap(first, second) == Gap(0.0, 0.0, 1.0)
    assert network.training
    assert network.decoder.training
    assert not network.encoder.after_norm.training


def test_gap_of_known_distributions() -> None:
    one = Outputs({"decoder": torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), "ctc": torch.zeros(1, 2)})
    two = Outputs({"decoder": torch.tensor([[0.25, 0.75], [0.9, 0.1]]).log(), "ctc": torch.full((1, 2), -3.0)})
    gap = measure_gap(one, two)
    assert gap.largest == 3.0
    assert gap.divergence == pytest.approx((0.5 * math.log(2) + 0.5 * math.log(2 / 3)) / 2)
    assert gap.agreement == 0.5


def test_a_changed_weight_is_seen() -> None:
    network = _network()
    probe = make_probe(network)
    before = compute_outputs(network, probe)
    network.ctc.ctc_lo.bias.data[0] += 1.0  # type: ignore[union-attr]
    after = compute_outputs(network, probe)
    assert torch.equal(before.parts["decoder"], after.parts["decoder"])
    gap = measure_gap(before, after)
    assert gap.largest > 0.1
    assert gap.divergence == 0.0


def test_padding_is_left_out() -> None:
    network = _network()
    probe = make_probe(network)
    shorter = Probe(probe.features, probe.frames, probe.tokens, torch.tensor([12, 7]))
    together = compute_outputs(network, shorter).parts["decoder"]
    alone = [compute_outputs(network, probe).parts["decoder"][start : start + count] for start, count in ((0, 12), (12, 7))]
    assert len(together) == 12 + 7
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)  # a position sees none behind it
