"""The trainer: it learns, resumes to the bit, survives a kill while saving, and stops on a broken loss."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paredown.errors import BadInput
from paredown.models.network import Network, build_network
from paredown.recover.batch import Position
from paredown.recover.checkpoint import load_average
from paredown.recover.loss import read_weights
from paredown.recover.run import Run
from paredown.recover.schedule import Schedule
from paredown.recover.trainer import TrainSettings, train
from tests.models.checkpoints import st_config
from tests.recover.streams import make_batch, make_source

STEPS = 8


def _network() -> Network:
    torch.manual_seed(5)
    config = st_config()
    config["decoder_conf"] |= {"layer_drop_rate": 0.3}  # one more thing that draws from the random state
    return build_network(config)


def _settings(total_steps: int = STEPS, cooldown_steps: int = 2) -> TrainSettings:
    schedule = Schedule(total_steps, cooldown_steps, warmup_steps=2, peak_rate=3e-3)
    weights = read_weights(st_config())
    return TrainSettings(schedule, weights, sos=7, autocast=False, log_every_steps=2, dropout_pool_values=2**17)


def _states(run: Run) -> list[dict[str, torch.Tensor]]:
    return [run.network.state_dict(), run.average.state]


def test_resumed_run_equals_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    whole = train(_network(), make_source(STEPS), _settings(), tmp_path / "whole")
    train(_network(), make_source(5), _settings(), tmp_path / "parts")
    other = _network()
    torch.nn.init.zeros_(other.decoder.output_layer.weight)  # all must come from the checkpoint
    torch.manual_seed(99)
    resumed = train(other, make_source(STEPS), _settings(), tmp_path / "parts", resume=True)

    assert (whole.step, resumed.step) == (STEPS, STEPS)
    for expected, found in zip(_states(whole), _states(resumed), strict=True):
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    started = _network().state_dict()
    assert not torch.equal(started["decoder.output_layer.weight"], whole.network.state_dict()["decoder.output_layer.weight"])


def test_resuming_with_another_end_changes_only_the_schedule(tmp_path: Path) -> None:
    train(_network(), make_source(3), _settings(), tmp_path)
    longer = train(_network(), make_source(20), _settings(total_steps=12, cooldown_steps=4), tmp_path, resume=True)
    assert longer.step == 12
    assert longer.position == Position(batch=12)
    again = train(_network(), make_source(20), _settings(total_steps=12), tmp_path, resume=True)
    assert again.step == 12
    assert torch.equal(again.average.state["encoder.after_norm.bias"], longer.average.state["encoder.after_norm.bias"])


def test_training_lowers_the_loss_and_logs_it(tmp_path: Path) -> None:
    def one_batch(_: Position) -> object:
        return iter([make_batch(1)] * 60)

    train(_network(), one_batch, replace(_settings(60), log_every_steps=10), tmp_path)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert set(rows[0]) == {"step", "loss_attention", "loss_ctc", "accuracy", "audio_s_per_s", "rate", "wall_s"}
    assert rows[-1]["loss_attention"] < 0.8 * rows[0]["loss_attention"]
    assert rows[-1]["accuracy"] > rows[0]["accuracy"]


def test_average_is_what_a_checkpoint_hands_over(tmp_path: Path) -> None:
    run = train(_network(), make_source(4), _settings(), tmp_path)
    average = load_average(tmp_path)
    assert all(torch.equal(average[name], run.average.state[name]) for name in average)
    assert not torch.equal(average["encoder.after_norm.bias"], run.network.state_dict()["encoder.after_norm.bias"])


def test_a_kill_while_saving_leaves_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(_network(), make_source(2), _settings(), tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        train(_network(), make_source(4), _settings(), tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_run_without_checkpoint_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a run to resume must hold checkpoint\.pt"):
        train(_network(), make_source(1), _settings(), tmp_path, resume=True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_damaged_checkpoint_is_told_in_one_line(tmp_path: Path, share: float) -> None:
    train(_network(), make_source(1), _settings(), tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[: round(share * checkpoint.stat().st_size)])
    with pytest.raises(BadInput, match=r"must be as paredown wrote it, .*checkpoint\.pt is damaged: remove it"):
        train(_network(), make_source(1), _settings(), tmp_path, resume=True)


def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    network = _network()
    torch.nn.init.constant_(network.decoder.output_layer.bias, float("nan"))
    with pytest.raises(ValueError, match="the loss must be finite, got nan at step 0"):
        train(network, make_source(1), _settings(), tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_vectors_are_not_decayed(tmp_path: Path) -> None:
    run = train(_network(), make_source(1), _settings(), tmp_path)
    decayed, spared = run.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert {p.dim() >= 2 for p in decayed["params"]} == {True}
    assert {p.dim() >= 2 for p in spared["params"]} == {False}


def test_a_checkpoint_without_time_and_curve_can_be_resumed(tmp_path: Path) -> None:
    whole = train(_network(), make_source(STEPS), _settings(), tmp_path / "whole")
    train(_network(), make_source(5), _settings(), tmp_path / "parts")
    state = torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)
    older = {name: state[name] for name in ("network", "average", "optimizer", "step", "position", "random")}
    torch.save(older, tmp_path / "parts" / "checkpoint.pt")
    resumed = train(_network(), make_source(STEPS), _settings(), tmp_path / "parts", resume=True)
    assert all(torch.equal(value, resumed.average.state[name]) for name, value in whole.average.state.items())
