"""The order of hidden units: what each adds, and that reordering changes nothing but the order."""

import numpy as np
import pytest
import torch

from paredown.analysis.darts.importance import HeardUnits, order_units, rank_units, weight_importance
from paredown.models.groups import build_inventory
from tests.analysis.darts.tiny import SOS, tiny_network, tiny_samples


def _posteriors(network: torch.nn.Module) -> torch.Tensor:
    sample = tiny_samples()[0]
    states, steps = network.encode(torch.from_numpy(sample.features)[None], torch.tensor([len(sample.features)]))  # type: ignore[operator]
    tokens = torch.tensor([[SOS, *sample.tokens]])
    logits, _ = network.decoder(states, steps, tokens, torch.tensor([tokens.shape[1]]))  # type: ignore[operator]
    found: torch.Tensor = logits
    return found


@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer", "transformer"])
def test_reordered_units_compute_the_same(encoder: str) -> None:
    network, other = tiny_network(encoder), tiny_network(encoder)
    inventory = build_inventory(network)
    order_units(other, weight_importance(other, inventory))
    after = weight_importance(other, inventory)
    for path in inventory.feed_forwards:
        assert not torch.equal(network.get_parameter(f"{path}.w_1.weight"), other.get_parameter(f"{path}.w_1.weight"))
        assert (np.diff(after[path]) <= 0).all()
    torch.testing.assert_close(_posteriors(network), _posteriors(other), rtol=1e-4, atol=1e-4)  # sums in another order


def test_importance_by_weights_is_the_product_of_norms() -> None:
    network = tiny_network()
    found = weight_importance(network, build_inventory(network))["decoder.decoders.1.feed_forward"]
    layer = network.decoder.decoders[1].feed_forward
    expected = [float(layer.w_1.weight[j].norm() * layer.w_2.weight[:, j].norm()) for j in range(24)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_importance_of_what_is_heard_is_the_energy_that_a_unit_adds() -> None:
    network = tiny_network()
    path = "encoder.encoders.0.feed_forward"
    layer, heard = network.get_submodule(path), []
    handle = layer.register_forward_hook(lambda _module, given, _output: heard.append(given[0]))
    with HeardUnits(network, build_inventory(network)) as units:
        _posteriors(network)
    handle.remove()
    hidden = layer.activation(layer.w_1(heard[0]))[0]  # type: ignore[operator]
    added = [float((hidden[:, j, None] * layer.w_2.weight[:, j]).square().sum(-1).mean()) for j in range(24)]  # type: ignore[union-attr,index]
    np.testing.assert_allclose(units.importance()[path], added, rtol=1e-5)
    _posteriors(network)  # the listeners are gone
    np.testing.assert_allclose(units.importance()[path], added, rtol=1e-5)


def test_nothing_heard_is_no_importance() -> None:
    network = tiny_network()
    with HeardUnits(network, build_inventory(network)) as units, pytest.raises(ValueError, match="at least one utterance, got none"):
        units.importance()


def test_of_equal_units_the_lower_index_comes_first() -> None:
    assert rank_units(np.array([1.0, 3.0, 1.0, 3.0, 2.0])).tolist() == [1, 3, 4, 0, 2]
