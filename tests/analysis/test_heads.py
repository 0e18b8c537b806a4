"""The divergence of every attention head: equal to the direct computation, and kept on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from paredown.analysis.heads import HeadDivergences, head_norms, measure_heads, without_heads
from paredown.models.groups import build_inventory
from tests.analysis.test_kl import SOS, network_of, samples
from tests.analysis.whole_network import changed, direct_divergence, zero_head
from tests.models.checkpoints import ENCODERS


@pytest.mark.parametrize("encoder", [*ENCODERS, "asr"])
def test_equals_the_direct_computation(encoder: str) -> None:
    network = network_of(encoder)
    heads = dict(build_inventory(network).heads)
    assert len(heads) == 2 + 2 * 2  # every block of encoder and decoder
    found = dict(measure_heads(network, heads, samples(), SOS))
    for path, count in heads.items():
        for head in range(count):
            expected = direct_divergence(network, changed(network, zero_head(path, head, count)), samples(), SOS)
            assert expected > 0
            assert found[path][head] == pytest.approx(expected, rel=1e-4)  # float32 sums in other batches, as of the KL table


def test_does_not_depend_on_threads_and_leaves_the_network() -> None:
    network = network_of("conformer-latest")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    heads, calls = dict(build_inventory(network).heads), []
    alone = measure_heads(network, heads, samples(), SOS)
    several = measure_heads(network, heads, samples(), SOS, threads=3, progress=lambda done, total: calls.append((done, total)))
    assert alone == several
    assert calls == [(done, len(heads)) for done in range(1, len(heads) + 1)]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_needs_an_utterance() -> None:
    network = network_of("transformer")
    with pytest.raises(ValueError, match="at least one utterance"):
        measure_heads(network, dict(build_inventory(network).heads), [], SOS)


def test_heads_are_columns_of_the_output() -> None:
    weight = torch.arange(1.0, 13.0).reshape(2, 6)
    emptied = without_heads(weight, (0, 2), 3)
    assert emptied.tolist() == [[0, 0, 3, 4, 0, 0], [0, 0, 9, 10, 0, 0]]
    assert weight.min() == 1.0


def test_norms_are_of_the_columns() -> None:
    network = network_of("transformer")
    path, count = build_inventory(network).heads[0]
    weight = network.get_parameter(f"{path}.linear_out.weight").detach().abs().sum(dim=0)
    assert head_norms(network, path, count) == pytest.approx([float(weight[:8].sum()), float(weight[8:].sum())])


def result() -> HeadDivergences:
    return HeadDivergences((("encoder.encoders.0.self_attn", (0.5, 0.25, 0.1 + 0.2)), ("b.ä", (0.0,))), "3 of 5 utterances", 1.25)


def test_a_saved_result_comes_back_as_it_was(tmp_path: Path) -> None:
    for one in (result(), HeadDivergences((), "none", 0.0)):
        one.save(tmp_path / "heads.npz")
        assert HeadDivergences.load(tmp_path / "heads.npz") == one
    with pytest.raises(FileNotFoundError):
        HeadDivergences.load(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "heads.npz"
    result().save(file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:60])
    else:
        np.savez(file, array=np.zeros(3), description=np.array('{"kind": "pruning curves"}'))
    with pytest.raises(ValueError, match="must be as paredown wrote it"):
        HeadDivergences.load(file)


@pytest.mark.parametrize("values", [(), (0.1, -0.1), (float("nan"),), (float("inf"),)])
def test_impossible_divergences_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="finite and not negative, one or more an attention"):
        HeadDivergences((("a", values),), "", 0.0)
