"""Training on a node of a real cluster: the weights that this machine trains, from a cache that is not this machine's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs the extra [ray]")
pytest.importorskip("torch")

from paredown.data import load_split
from paredown.errors import BadInput
from paredown.models import Model, load_model
from paredown.recover.training_data import TrainingData
from paredown.space.configuration import TRANSFORMATIONS, Configuration
from paredown.space.training import Training
from paredown.trials.recoveries import Recovery, Work, recover, recovery_folder, recovery_key
from tests.cluster.conftest import Rig
from tests.commands.tiny import write_model, write_split
from tests.trials.telling import Quiet

pytestmark = pytest.mark.slow  # a cluster of several nodes on one machine


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many as the head of the cluster has cores: sums in another order differ in the last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(model: Model, configuration: Configuration) -> bytes:
    return (recovery_folder(recovery_key(model.digest, configuration)) / "weights.npz").read_bytes()


@pytest.mark.usefixtures("one_thread")
def test_a_node_trains_what_this_machine_trains(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = load_model(write_model(tmp_path / "model")), TrainingData(load_split(write_split(tmp_path / "data", 4)))
    stage = Training("distill", data.digest, steps=3, rate=1e-2, batch_s=2.0, teacher=0.5)
    schedules = [(*TRANSFORMATIONS[:-1], *[stage] * rungs, TRANSFORMATIONS[-1]) for rungs in (1, 2)]
    short, long = (Configuration(keep=(("decoder", (0, 3)),), schedule=schedule) for schedule in schedules)
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "here"))
    for each in (short, long):
        recover(model, each, Recovery(data, Quiet()))
    expected = [weights(model, each) for each in (short, long)]
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "driver"))  # nodes keep the one that they were started with
    with rig.connected.trainer(1) as trainer:
        assert trainer.lanes() == 1
        trainer.hear(Work(model, model, short, data), stage)
        puts = rig.connected.dispatch.post.puts
        for each in (short, long):
            recover(model, each, Recovery(data, Quiet(), trainer))
        assert [weights(model, each) for each in (short, long)] == expected
        assert rig.connected.dispatch.post.puts == puts + 1  # model and data were there; the short recovery went along
        wrong = Training("fine-tune", "0" * 64, steps=1)
        with pytest.raises(BadInput, match="a training stage names its data"):
            recover(model, Configuration(schedule=(*TRANSFORMATIONS[:-1], wrong, TRANSFORMATIONS[-1])), Recovery(data, Quiet(), trainer))
