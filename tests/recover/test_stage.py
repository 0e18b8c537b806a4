"""Training stages: each kind trains what it should, leaves what it must, and goes on after `kill -9` to the same weights."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from paredown.models.network import Network, build_network
from paredown.recover import trainer
from paredown.recover.batch import Batch, Position
from paredown.recover.checkpoint import FILE
from paredown.recover.loss import read_weights
from paredown.recover.stage import StageOptions, StageResult, train_stage
from paredown.recover.top_k import TopK
from paredown.space.training import Training
from tests.models.checkpoints import st_config
from tests.recover.streams import make_batch, make_source

STEPS = 6
STAGE = Training("fine-tune", "a" * 64, steps=STEPS, rate=3e-3, seed=1)
QAT = replace(STAGE, kind="qat")
OPTIONS = StageOptions(log_every_steps=2, dropout_pool_values=2**17)
PRUNED = "decoder.decoders.0.feed_forward.w_1.weight"
ROOT = Path(__file__).parent.parent.parent


def make_network() -> Network:
    torch.manual_seed(5)
    config = st_config()
    config["decoder_conf"] |= {"layer_drop_rate": 0.3}
    return build_network(config).eval()


def taught_batch(number: int, position: Position) -> Batch:
    """A batch with a teacher that thinks of other tokens than the references."""
    batch = make_batch(number, position)
    logits = torch.randn(len(batch.tokens), batch.tokens.size(1) + 1, 8, generator=torch.Generator().manual_seed(number))
    logs, ids = logits.log_softmax(-1).topk(3)
    return replace(batch, teacher=TopK(ids, logs))


def taught_source(start: Position) -> Iterator[Batch]:
    for number in range(start.batch, 1000):
        yield taught_batch(number, Position(batch=number + 1))


def mask_of(network: Network, name: str = PRUNED) -> dict[str, torch.Tensor]:
    shape = network.get_parameter(name).shape
    return {name: torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.6}


def widths() -> dict[str, int]:
    return {PRUNED.removesuffix(".weight"): 2, "decoder.embed.0": 4, "encoder.encoders.0.conv_module.depthwise_conv": 3}


def run(network: Network, stage: Training, folder: Path, **changes: Any) -> StageResult:
    arguments = {"bits": widths(), "options": OPTIONS} | changes
    if "masks" not in arguments:
        arguments["masks"] = mask_of(network)
    batches = arguments.pop("batches", taught_source)
    return train_stage(network, stage, batches, read_weights(st_config()), 7, folder, **arguments)


def state(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    "stage",
    [STAGE, replace(STAGE, kind="distill", teacher=0.5), QAT, replace(STAGE, kind="lora", rank=4), replace(STAGE, kind="qlora", rank=4)],
    ids=lambda stage: stage.kind,
)
def test_every_kind_trains_and_leaves_a_plain_network_with_its_zeros(stage: Training, tmp_path: Path) -> None:
    if stage.kind in ("lora", "qlora"):
        pytest.importorskip("peft")
    if stage.kind == "qlora":
        pytest.importorskip("bitsandbytes")
    network = make_network()
    before, modules = state(network), {path: type(module) for path, module in network.named_modules()}
    result = run(network, stage, tmp_path)
    after = state(network)
    assert list(after) == list(before)
    assert {path: type(module) for path, module in network.named_modules()} == modules
    assert not any(module.training for module in network.modules())
    assert [name for name, value in after.items() if value.dtype != before[name].dtype or value.stride() != before[name].stride()] == []
    assert not torch.equal(after["encoder.encoders.1.feed_forward.w_2.weight"], before["encoder.encoders.1.feed_forward.w_2.weight"])
    zeros = ~mask_of(network)[PRUNED]
    assert float(after[PRUNED][zeros].abs().max()) == 0.0 < float(before[PRUNED][zeros].abs().min())
    assert int((after[PRUNED] == 0).sum()) == int(zeros.sum())
    statistics = [name for name in after if "running" in name or "batches_tracked" in name]
    assert statistics
    assert all(torch.equal(after[name], before[name]) for name in statistics)
    assert (result.steps_done, [point.step for point in result.curve]) == (STEPS, [2, 4, 6])
    assert set(result.steps) == (set(widths()) if stage.kind == "qat" else set())
    assert json.loads(json.dumps(result.to_dict()))["kind"] == stage.kind


def test_the_teacher_is_followed_by_its_share(tmp_path: Path) -> None:
    weights = {}
    for share in (0.0, 0.3, 1.0):
        stage = replace(STAGE, kind="distill", teacher=share) if share else STAGE
        network = make_network()
        run(network, stage, tmp_path / str(share))
        weights[share] = network.get_parameter("decoder.output_layer.bias").detach()
    assert not torch.equal(weights[0.0], weights[0.3])
    assert not torch.equal(weights[0.3], weights[1.0])


def test_without_dropout_and_masking_nothing_hangs_on_the_seed(tmp_path: Path) -> None:
    def trained(seed: int, **changes: bool) -> dict[str, torch.Tensor]:
        network = make_network()
        run(network, replace(STAGE, seed=seed, **changes), tmp_path / f"{seed}{changes}")
        assert network.decoder.decoders.layer_drop_rate == 0.3
        assert network.decoder.decoders[0].dropout.p == 0.1
        return state(network)

    off = {"dropout": False, "masking": False}
    assert equal(trained(1, **off), trained(2, **off))
    for name in off:
        assert not equal(trained(1, **{**off, name: True}), trained(2, **{**off, name: True}))


def test_a_finished_run_is_read_and_another_stage_is_refused(tmp_path: Path) -> None:
    network, again = make_network(), make_network()
    first = run(network, QAT, tmp_path)

    def no_batches(_: Position) -> Iterator[Batch]:
        raise AssertionError("nothing is left to train")

    second = run(again, QAT, tmp_path, batches=no_batches)
    assert equal(state(network), state(again))
    assert all(torch.equal(steps, second.steps[path]) for path, steps in first.steps.items())
    assert (second.curve, second.seconds, second.steps_done) == (first.curve, first.seconds, STEPS)
    with pytest.raises(ValueError, match="must hold runs of one training stage"):
        run(make_network(), replace(QAT, rate=1e-3), tmp_path)
    with pytest.raises(ValueError, match="must hold runs of one training stage"):
        run(make_network(), QAT, tmp_path, bits={"decoder.embed.0": 5})
    assert run(make_network(), replace(QAT, rate=1e-3), tmp_path, resume=False).steps_done == STEPS


def test_a_run_without_codes_goes_on_whatever_codes_are_to_come(tmp_path: Path) -> None:
    run(make_network(), STAGE, tmp_path, batches=make_source(3))
    assert run(make_network(), STAGE, tmp_path, bits={}, granularity="tensor").steps_done == STEPS


def test_an_average_is_handed_over_where_asked_for(tmp_path: Path) -> None:
    last, averaged = make_network(), make_network()
    run(last, QAT, tmp_path / "last")
    result = run(averaged, QAT, tmp_path / "averaged", options=replace(OPTIONS, average_decay=0.9))
    assert not equal(state(last), state(averaged))
    assert float(state(averaged)[PRUNED][~mask_of(averaged)[PRUNED]].abs().max()) == 0.0
    saved = torch.load(tmp_path / "averaged" / FILE, weights_only=True)
    assert torch.equal(saved["average"]["decoder.output_layer.bias"], averaged.get_parameter("decoder.output_layer.bias"))
    assert not torch.equal(saved["network"]["decoder.output_layer.bias"], averaged.get_parameter("decoder.output_layer.bias"))
    assert set(result.steps) == set(widths())


def test_adapters_are_all_that_their_checkpoint_holds(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    run(make_network(), replace(STAGE, kind="lora", rank=2), tmp_path)
    saved = torch.load(tmp_path / FILE, weights_only=True)
    names = [name for name in saved["network"] if "running" not in name and "batches_tracked" not in name]
    assert names
    assert all("lora" in name for name in names)
    whole, resumed = make_network(), make_network()
    longer = replace(STAGE, kind="lora", rank=2, cooldown=0.0)
    run(whole, longer, tmp_path / "whole")
    run(resumed, longer, tmp_path / "parts", batches=make_source(3))
    run(resumed := make_network(), longer, tmp_path / "parts", batches=make_source(1000))
    plain = make_network()
    run(plain, longer, tmp_path / "plain", batches=make_source(1000))
    assert equal(state(plain), state(resumed))


class _Clock:
    """Ten seconds at every batch."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def source(self, start: Position) -> Iterator[Batch]:
        for batch in make_source(1000)(start):
            self.now_s += 10.0
            yield batch


def test_minutes_bound_a_stage_over_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rates = _Clock(), []
    monkeypatch.setattr(trainer.time, "monotonic", lambda: clock.now_s)
    original = trainer._train_step
    monkeypatch.setattr(trainer, "_train_step", lambda *arguments: (rates.append(arguments[3]), original(*arguments))[1])
    stage = replace(STAGE, steps=None, minutes=1.0, cooldown=0.5, rate=1e-3)
    result = run(make_network(), stage, tmp_path / "whole", batches=clock.source)
    assert (result.steps_done, result.seconds) == (6, 60.0)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-3 * 2 / 3, 1e-3 / 3, 0.0])
    rates.clear()

    def stopping(start: Position) -> Iterator[Batch]:
        yield next(clock.source(start))

    assert run(make_network(), stage, tmp_path / "parts", batches=stopping).steps_done == 1
    clock.now_s += 5000.0  # nobody trains meanwhile
    rest = run(make_network(), stage, tmp_path / "parts", batches=clock.source)
    assert rest.seconds == pytest.approx(60.0)
    assert rates[-1] == 0.0


def test_semi_orthogonal_factors_stay_near_their_constraint(tmp_path: Path) -> None:
    def deviation(pattern: str | None) -> float:
        network = make_network()
        block = network.decoder.decoders[0].feed_forward
        for role, (inputs, outputs) in {"w_1": (16, 24), "w_2": (24, 16)}.items():
            parts = {"down": torch.nn.Linear(inputs, 4, bias=False), "up": torch.nn.Linear(4, outputs)}
            setattr(block, role, torch.nn.Sequential())
            for name, part in parts.items():
                getattr(block, role).add_module(name, part)
        torch.nn.init.orthogonal_(block.w_1.down.weight)
        stage = replace(QAT, steps=12, rate=2e-2, semi_orthogonal=pattern, weight_decay=0.0)
        run(network, stage, tmp_path / str(pattern), masks={}, bits={"decoder.decoders.0.feed_forward.w_1.down": 4})
        gram = block.w_1.down.weight.detach() @ block.w_1.down.weight.detach().t()
        return float((gram / gram.diagonal().mean() - torch.eye(4)).abs().max())

    assert deviation("SLLS") < 0.5 * deviation(None)
    with pytest.raises(ValueError, match="need factorized feed-forwards"):
        run(make_network(), replace(STAGE, semi_orthogonal="SLLS"), tmp_path / "none")


@pytest.mark.parametrize(
    ("masks", "rule"),
    [({"gone.weight": torch.ones(1)}, "masks must name parameters"), ({PRUNED: torch.ones(3)}, r"must be \[24, 16\], got \[3\]")],
)
def test_masks_that_do_not_fit_are_refused(masks: dict[str, torch.Tensor], rule: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rule):
        run(make_network(), STAGE, tmp_path, masks=masks)


def train_slowly(folder: str) -> None:
    """What the killed process does: the stage of the test below, saved at every step, with a pause before each batch."""
    torch.set_num_threads(1)

    def slow(start: Position) -> Iterator[Batch]:
        for batch in taught_source(start):
            time.sleep(0.05)
            yield batch

    run(make_network(), replace(QAT, steps=40), Path(folder), batches=slow, options=replace(OPTIONS, save_every_s=0.0))


def test_kill_9_and_resume_end_with_the_same_weights(tmp_path: Path) -> None:
    code = "import sys; from tests.recover.test_stage import train_slowly; train_slowly(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")], env=environment, cwd=ROOT)
    try:
        log, deadline_s = tmp_path / "killed" / "log.jsonl", time.monotonic() + 120
        while (not log.exists() or len(log.read_text().splitlines()) < 3) and time.monotonic() < deadline_s:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    stopped = torch.load(tmp_path / "killed" / FILE, weights_only=True)["step"]
    assert 5 <= stopped < 40
    whole, resumed = make_network(), make_network()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = run(whole, replace(QAT, steps=40), tmp_path / "whole")
        torch.manual_seed(77)
        found = run(resumed, replace(QAT, steps=40), tmp_path / "killed")
    finally:
        torch.set_num_threads(threads)
    assert equal(state(whole), state(resumed))
    assert all(torch.equal(steps, found.steps[path]) for path, steps in expected.steps.items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU that torch sees")
@pytest.mark.parametrize("kind", ["fine-tune", "qat"])
def test_on_a_gpu_it_trains_and_resumes(kind: str, tmp_path: Path) -> None:
    network = make_network().to("cuda")
    before = state(network)
    result = run(network, replace(STAGE, kind=kind), tmp_path, batches=make_source(3))
    assert result.steps_done == 3
    again = make_network().to("cuda")
    assert run(again, replace(STAGE, kind=kind), tmp_path, batches=make_source(1000)).steps_done == STEPS
    assert not equal(before, state(again))
    assert all(value.is_cuda for value in again.state_dict().values())
