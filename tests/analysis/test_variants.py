"""Variants of one layer: row i of a batch sees weight i, and the layer is itself again afterwards."""

import pytest
import torch

from paredown.analysis.variants import Variants

MODULES = {
    "linear": (torch.nn.Linear(4, 3), torch.randn(1, 5, 4)),
    "pointwise": (torch.nn.Conv1d(4, 6, 1), torch.randn(1, 4, 7)),
    "depthwise": (torch.nn.Conv1d(4, 4, 3, padding=1, groups=4), torch.randn(1, 4, 7)),
    "image": (torch.nn.Conv2d(1, 4, 3, 2), torch.randn(1, 1, 9, 9)),
    "embedding": (torch.nn.Embedding(6, 3), torch.tensor([[1, 5, 2]])),
}


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("rows", [1, 3])
@torch.inference_mode()
def test_row_i_is_given_weight_i(kind: str, rows: int) -> None:
    module, row = MODULES[kind]
    inputs = torch.cat([row] * rows) if not row.is_floating_point() else torch.cat([row * (1 + index) for index in range(rows)])
    weights = [torch.randn(module.weight.shape) for _ in range(3)]
    own = module.weight
    with Variants(module, weights):
        found = module(inputs)
    assert module.weight is own
    for index, weight in enumerate(weights):
        expected = torch.func.functional_call(module, {"weight": weight}, (inputs[index if rows > 1 else 0 :][:1],))
        assert torch.equal(found[index : index + 1], expected)


@torch.inference_mode()
def test_one_after_the_other_gives_what_side_by_side_gives() -> None:
    module = torch.nn.Linear(4, 3)
    weights = [torch.randn(3, 4) for _ in range(4)]
    inputs = torch.randn(1, 5, 4)
    batches = []

    def compute(variants: int) -> torch.Tensor:
        batches.append(variants)
        return module(inputs.repeat(variants, 1, 1))

    with Variants(module, weights) as layer:
        together = layer.run(True, compute)
        apart = layer.run(False, compute)
    assert torch.equal(together, apart)
    assert batches == [4, 1, 1, 1, 1]


def test_an_error_inside_leaves_the_layer_whole() -> None:
    module = torch.nn.Linear(4, 3)
    own, plain = module.weight, module.forward
    with pytest.raises(RuntimeError, match="shapes"), Variants(module, [torch.zeros(3, 4)] * 2) as layer:
        layer.run(False, lambda _: module(torch.zeros(1, 1, 5)))
    assert module.weight is own
    assert module.forward == plain
