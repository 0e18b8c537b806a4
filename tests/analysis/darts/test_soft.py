"""A soft mask is the mixture of all candidates, exactly."""

import copy

import pytest
import torch

from paredown.analysis.darts.candidates import Choice, list_choices
from paredown.analysis.darts.soft import SoftFactors, SoftFeedForward, prefix_masks, soften
from paredown.models.groups import build_inventory
from tests.analysis.darts.tiny import random_weights, tiny_network

FEED_FORWARDS = ("encoder.encoders.0.feed_forward", "decoder.decoders.0.feed_forward")  # swish, relu
EXACT = {"rtol": 1e-5, "atol": 1e-6}  # float32 sums in another order


def _inputs(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 7, 16, generator=torch.Generator().manual_seed(4))


def _narrowed(layer: torch.nn.Module, units: int, values: torch.Tensor) -> torch.Tensor:
    """A feed-forward of the first units, by hand."""
    first = torch.nn.functional.linear(values, layer.w_1.weight[:units], layer.w_1.bias[:units])  # type: ignore[union-attr,index,arg-type]
    return torch.nn.functional.linear(layer.activation(first), layer.w_2.weight[:, :units], layer.w_2.bias)  # type: ignore[union-attr,index,arg-type,operator]


@pytest.mark.parametrize("path", FEED_FORWARDS)
def test_mixture_of_widths_is_the_sum_over_candidates(path: str) -> None:
    layer = tiny_network().get_submodule(path)
    choice = Choice(path, (1, 5, 6, 17, 24), (0.0,) * 5)
    soft, values, weights = SoftFeedForward(layer, choice), _inputs(), random_weights(5, seed=1)
    soft.weigh(weights)
    expected = sum(weight * _narrowed(layer, units, values) for weight, units in zip(weights, choice.candidates, strict=True))
    torch.testing.assert_close(soft(values), expected, **EXACT)


@pytest.mark.parametrize("role", ["w_1", "w_2"])
def test_mixture_of_ranks_is_the_sum_over_truncated_products(role: str) -> None:
    layer = tiny_network().get_submodule(f"decoder.decoders.1.feed_forward.{role}")
    assert isinstance(layer, torch.nn.Linear)
    choice = Choice(role, (1, 4, 9, 16), (0.0,) * 4)
    soft, weights = SoftFactors(layer, choice), random_weights(4, seed=2)
    soft.weigh(weights)
    values = torch.randn(3, 7, layer.in_features, generator=torch.Generator().manual_seed(3))
    left, singular, right = torch.linalg.svd(layer.weight, full_matrices=False)
    products = [(left[:, :rank] * singular[:rank]) @ right[:rank] for rank in choice.candidates]
    mixed = sum(weight * product for weight, product in zip(weights, products, strict=True))
    torch.testing.assert_close(soft(values), torch.nn.functional.linear(values, mixed, layer.bias), rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


def test_every_utterance_has_a_mixture_of_its_own() -> None:
    choice = Choice(FEED_FORWARDS[0], (2, 9, 24), (0.0,) * 3)
    soft, values, weights = SoftFeedForward(tiny_network().get_submodule(choice.path), choice), _inputs(), random_weights(3, 5, rows=3)
    soft.weigh(weights)
    together = soft(values)
    for row in range(3):
        soft.weigh(weights[row])
        torch.testing.assert_close(together[row], soft(values)[row], **EXACT)


def test_one_candidate_alone_is_that_candidate_and_the_last_is_the_layer() -> None:
    layer, values = tiny_network().get_submodule(FEED_FORWARDS[1]), _inputs()
    choice = Choice(FEED_FORWARDS[1], (3, 8, 24), (0.0,) * 3)
    soft = SoftFeedForward(layer, choice)
    torch.testing.assert_close(soft(values), layer(values), **EXACT)  # before it is weighed
    for index, units in enumerate(choice.candidates):
        soft.weigh(torch.eye(3)[index])
        torch.testing.assert_close(soft(values), _narrowed(layer, units, values), **EXACT)


def test_gradient_of_the_weights_is_that_of_the_sum() -> None:
    layer, values = tiny_network().get_submodule(FEED_FORWARDS[0]), _inputs()
    choice = Choice(FEED_FORWARDS[0], (3, 8, 24), (0.0,) * 3)
    soft, logs = SoftFeedForward(layer, choice), torch.tensor([0.3, -1.0, 0.5], requires_grad=True)
    weights = torch.softmax(logs, dim=-1)  # off the simplex the bias would count in the sum alone
    soft.weigh(weights)
    (found,) = torch.autograd.grad(soft(values).square().sum(), logs, retain_graph=True)
    total = sum(weight * _narrowed(layer, units, values) for weight, units in zip(weights, choice.candidates, strict=True))
    assert isinstance(total, torch.Tensor)
    (expected,) = torch.autograd.grad(total.square().sum(), logs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_masks_are_prefixes() -> None:
    assert prefix_masks((1, 3)).tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("kind", ["width", "rank"])
@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer"])
def test_softened_network_computes_the_same_until_it_is_weighed(kind: str, encoder: str) -> None:
    network = tiny_network(encoder)
    softened = copy.deepcopy(network)
    choices = list_choices(build_inventory(network), kind)  # type: ignore[arg-type]
    assert len(soften(softened, choices)) == len(choices) > 4
    features = torch.randn(1, 90, 20, generator=torch.Generator().manual_seed(1))
    expected, found = (each.encode(features, torch.tensor([90]))[0] for each in (network, softened))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_other_layers_cannot_be_softened() -> None:
    with pytest.raises(ValueError, match=r"a feed-forward or of a linear layer, got Embedding at decoder\.embed\.0"):
        soften(tiny_network(), [Choice("decoder.embed.0", (1, 2), (0.0, 0.0))])
