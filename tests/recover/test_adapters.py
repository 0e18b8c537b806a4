"""Adapters: what is trained, what stays frozen, and that merging is exact. Oracles are written out from the papers' formulas."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from paredown.errors import BadInput
from paredown.models.network import Network, build_network
from paredown.recover.adapters import AdapterReport, train_adapters
from paredown.recover.loss import joint_loss, read_weights
from paredown.recover.probe import compute_outputs, make_probe
from paredown.recover.schedule import Schedule
from paredown.recover.supernet import open_widths
from paredown.recover.trainer import TrainSettings, train
from paredown.space.training import Training
from tests.models.checkpoints import st_config
from tests.recover.streams import make_batch, make_source

RANK, ALPHA = 4, 6.0
KINDS = ("lora", "qlora")
LAYER = "encoder.encoders.0.feed_forward.w_1"


def _network(encoder: str = "conformer-latest") -> Network:
    torch.manual_seed(5)
    return build_network(st_config(encoder))


def _stage(kind: str, **changes: object) -> Training:
    return Training(kind=kind, data="a" * 64, steps=1, rank=RANK, alpha=ALPHA, **changes)  # type: ignore[arg-type]


def _stir(network: Network) -> None:
    """Every adapter at random, as if it had been trained."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def _fit(steps: int, *, autocast: bool, losses: list[float]) -> Callable[[Network], None]:
    """Training on one batch."""

    def fit(network: Network) -> None:
        network.train()
        weights, batch = read_weights(st_config()), make_batch(1)
        optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = joint_loss(network, network.normalized(batch.features, batch.frames), batch, weights, sos=7).total
            losses.append(float(loss.detach()))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()

    return fit


def _linears(network: Network) -> dict[str, torch.nn.Linear]:
    return {path: module for path, module in network.named_modules() if isinstance(module, torch.nn.Linear)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoder", ["conformer-latest", "e_branchformer"])
def test_merged_network_computes_what_base_and_adapters_did(kind: str, encoder: str) -> None:
    network, parts = _network(encoder), {}
    probe = make_probe(network)

    def keep(inside: Network) -> None:
        _stir(inside)
        parts["adapted"] = compute_outputs(inside, probe).parts

    start = compute_outputs(network, probe).parts
    report = train_adapters(network, _stage(kind), keep)
    merged = compute_outputs(network, probe).parts
    assert set(merged) == {"decoder", "ctc"}
    for name, part in merged.items():
        assert torch.allclose(part, parts["adapted"][name], atol=1e-5)
        assert not torch.allclose(part, start[name], atol=0.1)
    assert report.merging.largest < 1e-5
    assert report.merging.agreement == 1.0


def test_merged_weight_is_base_plus_rank_stabilized_product() -> None:
    network, factors = _network(), {}
    base = {path: layer.weight.detach().clone() for path, layer in _linears(network).items()}

    def keep(inside: Network) -> None:
        _stir(inside)
        factors.update({name: value.detach().clone() for name, value in inside.named_parameters() if value.requires_grad})

    report = train_adapters(network, _stage("lora"), keep)
    assert report.scaling == ALPHA / math.sqrt(RANK)
    assert {layer.path for layer in report.layers} == set(base)
    assert len(factors) == 2 * len(base)  # all linear layers, those of the source CTC and of the output too
    for layer in report.layers:
        down, up = factors[f"{layer.path}.lora_A.default.weight"], factors[f"{layer.path}.lora_B.default.weight"]
        delta = ALPHA / math.sqrt(RANK) * up @ down
        assert down.shape[0] == RANK
        assert torch.allclose(network.get_submodule(layer.path).weight, base[layer.path] + delta, atol=1e-6)  # type: ignore[operator]
        assert layer.delta_norm == pytest.approx(float(delta.norm()), rel=1e-5)
        assert layer.base_norm == pytest.approx(float(base[layer.path].norm()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_dtypes_and_flags_come_back(kind: str) -> None:
    network = _network()
    network.decoder.embed[0].weight.requires_grad_(False)
    before = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    flags = {name: value.requires_grad for name, value in network.named_parameters()}
    kinds = {path: type(module) for path, module in network.named_modules()}
    modes = {path: module.training for path, module in network.named_modules()}
    train_adapters(network, _stage(kind), _stir)
    assert {name: (value.shape, value.dtype) for name, value in network.state_dict().items()} == before
    assert {name: value.requires_grad for name, value in network.named_parameters()} == flags
    assert list(flags) == [name for name, _ in network.named_parameters()]
    assert {path: type(module) for path, module in network.named_modules()} == kinds
    assert {path: module.training for path, module in network.named_modules()} == modes
    assert not hasattr(network, "peft_config")
    assert not hasattr(network, "is_loaded_in_4bit")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [False, True])
def test_training_lowers_the_loss_and_moves_adapters_alone(kind: str, autocast: bool) -> None:
    network, losses = _network(), list[float]()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    linear = {f"{path}.weight" for path in _linears(network)}
    report = train_adapters(network, _stage(kind), _fit(8, autocast=autocast, losses=losses))
    assert losses[-1] < 0.8 * losses[0]
    for name, value in network.named_parameters():
        assert torch.equal(value, before[name]) == (name not in linear), name
    assert report.merging.largest < 1e-4


def test_plain_training_of_the_same_steps_moves_the_norms() -> None:
    """The test above would pass on a network that cannot learn: without adapters its norms do move."""
    network = _network()
    before = network.encoder.after_norm.weight.detach().clone()
    _fit(1, autocast=False, losses=[])(network)
    assert not torch.equal(network.encoder.after_norm.weight, before)


@pytest.mark.parametrize("kind", KINDS)
def test_without_training_lora_changes_nothing_and_qlora_rounds(kind: str) -> None:
    network = _network()
    before = {path: layer.weight.detach().clone() for path, layer in _linears(network).items()}
    report = train_adapters(network, _stage(kind), lambda _: None)
    after = {path: layer.weight.detach() for path, layer in _linears(network).items()}
    wrong = math.sqrt(sum(float((after[path] - before[path]).square().sum()) for path in before))
    whole = math.sqrt(sum(float(weight.square().sum()) for weight in before.values()))
    assert report.nf4_error == pytest.approx(wrong / whole, rel=1e-5, abs=1e-12)
    assert (wrong == 0) == (kind == "lora")
    assert wrong / whole < 0.12


def test_start_of_adapters_hangs_on_the_seed_and_leaves_the_random_state() -> None:
    def start(seed: int) -> list[Tensor]:
        found: list[Tensor] = []
        network = _network()
        torch.manual_seed(int(torch.randint(1000, (1,))))
        state = torch.get_rng_state()
        train_adapters(network, _stage("lora", seed=seed), lambda inside: found.extend(p for p in inside.parameters() if p.requires_grad))
        assert torch.equal(torch.get_rng_state(), state)
        return found

    one, again, other = start(0), start(0), start(1)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True) if a.abs().sum() > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_weights_stay_zero(kind: str) -> None:
    network = _network()
    names = [f"{LAYER}.weight", "decoder.output_layer.weight"]
    generator = torch.Generator().manual_seed(2)
    masks = {name: torch.rand(network.get_parameter(name).shape, generator=generator) < 0.5 for name in names}
    for name, mask in masks.items():
        network.get_parameter(name).data *= mask
    probe, kept = make_probe(network), {}

    def keep(inside: Network) -> None:
        _fit(2, autocast=True, losses=[])(inside)
        kept["before"] = compute_outputs(inside, probe).parts["decoder"]

    report = train_adapters(network, _stage(kind), keep, masks=masks)
    for name, mask in masks.items():
        weight = network.get_parameter(name).detach()
        assert torch.equal(weight != 0, mask)
    assert torch.allclose(compute_outputs(network, probe).parts["decoder"], kept["before"], atol=1e-5)
    assert {layer.path for layer in report.layers} == set(_linears(network))


@pytest.mark.parametrize("kind", KINDS)
def test_storage_is_base_plus_adapter(kind: str) -> None:
    network = _network()
    layers = _linears(network)
    weights = {path: layer.weight.numel() for path, layer in layers.items()}
    dense = 4 * sum(value.numel() for value in network.parameters()) + sum(b.numel() * b.element_size() for b in network.buffers())
    report = train_adapters(network, _stage(kind), lambda _: None)
    trained = sum(RANK * (layer.in_features + layer.out_features) for layer in layers.values())
    assert (report.trainable, report.adapter_bytes) == (trained, 4 * trained)
    assert report.parameters == sum(value.numel() for value in network.parameters())
    if kind == "lora":
        assert report.base_bytes == dense
        return
    described = [
        (count + 1) // 2 + (blocks := math.ceil(count / 64)) + 4 * math.ceil(blocks / 256) + 4 * 16 + 4 * 256 for count in weights.values()
    ]
    least = dense - 4 * sum(weights.values()) + sum(described)
    assert least < report.base_bytes <= least + 200 * len(weights)  # a description in JSON beside each
    assert report.to_dict()["layers"][0]["path"] == next(iter(weights))


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_ends_with_the_same_weights(kind: str, tmp_path: Path) -> None:
    settings = TrainSettings(Schedule(6, 2, 1, 3e-3), read_weights(st_config()), sos=7, autocast=False, dropout_pool_values=2**17)

    def run(folder: Path, until: int, *, resume: bool) -> dict[str, Tensor]:
        network = _network()
        train_adapters(network, _stage(kind), lambda inside: train(inside, make_source(until), settings, folder, resume=resume) and None)
        return network.state_dict()

    whole = run(tmp_path / "whole", 6, resume=False)
    run(tmp_path / "parts", 3, resume=False)
    resumed = run(tmp_path / "parts", 6, resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not torch.equal(whole[f"{LAYER}.weight"], _network().state_dict()[f"{LAYER}.weight"])


def test_a_network_that_computes_without_its_adapters_is_refused() -> None:
    network = _network()
    open_widths(network)  # reads the weights of its layers directly
    with pytest.raises(ValueError, match=r"merging must move no log-probability by more than 0\.001, got"):
        train_adapters(network, _stage("lora"), _stir)


def test_what_adapters_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="adapters are trained by one of lora, qlora, got 'qat'"):
        train_adapters(_network(), _stage("qat"), _stir)


@pytest.mark.parametrize(("kind", "absent"), [("lora", "peft"), ("qlora", "peft"), ("qlora", "bitsandbytes")])
def test_an_absent_package_is_told_in_one_line(kind: str, absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = _network()
    before = [(path, type(module)) for path, module in network.named_modules()]
    monkeypatch.setitem(sys.modules, absent, None)
    expected = rf"^{kind} needs the package {absent}, which is not installed: pip install 'paredown\[recover\]'$"
    with pytest.raises(BadInput, match=expected):
        train_adapters(network, _stage(kind), _stir)
    assert [(path, type(module)) for path, module in network.named_modules()] == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_train_on_a_gpu(kind: str) -> None:
    network = _network().to("cuda")
    report: AdapterReport = train_adapters(network, _stage(kind), _stir)
    assert report.merging.largest < 1e-3
    assert {value.device.type for value in network.parameters()} == {"cuda"}
