"""The average of the weights."""

import pytest
import torch

from paredown.recover.average import Average


def test_average_follows_its_recurrence() -> None:
    network = torch.nn.BatchNorm1d(1)
    average, expected = Average(network, decay=0.9), {"weight": 1.0, "running_mean": 0.0}
    for step in range(300):
        with torch.no_grad():
            network.weight.fill_(float(step))
            network.running_mean.fill_(float(-step))
            network.num_batches_tracked.fill_(step)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = {
            "weight": decay * expected["weight"] + (1 - decay) * step,
            "running_mean": decay * expected["running_mean"] - (1 - decay) * step,
        }
    assert float(average.state["weight"]) == pytest.approx(expected["weight"], rel=1e-5)
    assert float(average.state["running_mean"]) == pytest.approx(expected["running_mean"], rel=1e-5)
    assert int(average.state["num_batches_tracked"]) == 299


def test_average_is_a_copy() -> None:
    network = torch.nn.Linear(2, 2)
    average = Average(network)
    before = average.state["weight"].clone()
    torch.nn.init.zeros_(network.weight)
    assert torch.equal(average.state["weight"], before)


def test_impossible_decay_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\), got 1\.0"):
        Average(torch.nn.Linear(1, 1), decay=1.0)


def test_without_decay_the_average_is_the_network_itself() -> None:
    network = torch.nn.BatchNorm1d(2)
    average = Average(network, decay=0.0)
    torch.nn.init.constant_(network.weight, 3.0)
    average.update(network, 0)
    assert average.state["weight"].tolist() == [3.0, 3.0]
    assert average.state["weight"].data_ptr() == network.weight.data_ptr()


def test_names_restrict_the_average_and_it_is_handed_over() -> None:
    network = torch.nn.Linear(2, 2)
    average = Average(network, decay=0.5, names=["bias"])
    assert set(average.state) == {"bias"}
    average.state["bias"].fill_(7.0)
    average.hand_over(network)
    assert network.bias.tolist() == [7.0, 7.0]
