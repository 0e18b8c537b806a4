"""The supernet's folder: an ordinary checkpoint of the run's averaged weights, said to be a supernet."""

import json
from pathlib import Path

import pytest
import torch

from paredown.analysis.darts.candidates import width_candidates
from paredown.models.model import SUPERNET, load_model
from paredown.recover.checkpoint import load_average
from paredown.recover.loss import read_weights
from paredown.recover.schedule import Schedule
from paredown.recover.supernet import SampledWidths, open_widths
from paredown.recover.trainer import TrainSettings, train
from studies.bundled_model.supernet import export, main
from tests.models.checkpoints import st_config, write_checkpoint
from tests.recover.streams import make_source


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "base", st_config())


def _train(base: Path, run: Path) -> None:
    model = load_model(base)
    layers = open_widths(model.network)
    widths = SampledWidths(layers, {path: width_candidates(layer.units) for path, layer in layers.items()}, seed=0)
    settings = TrainSettings(Schedule(4, 2, 1, 1e-3), read_weights(model.config), sos=7, autocast=False, dropout_pool_values=2**17)
    train(model.network, make_source(4), settings, run, before_step=widths)


def test_exported_supernet_loads_like_any_model(base: Path, tmp_path: Path) -> None:
    _train(base, tmp_path / "run")
    model = load_model(base)
    for _ in range(2):  # the second replaces the first
        export(model, tmp_path / "run", tmp_path / "out" / "model")
    supernet = load_model(tmp_path / "out" / "model")
    assert (supernet.is_supernet, supernet.tokens, supernet.inventory()) == (True, model.tokens, model.inventory())
    average, found = load_average(tmp_path / "run"), supernet.network.state_dict()
    for name, value in average.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)  # half precision
    described = json.loads((supernet.path / SUPERNET).read_text())
    assert (described["base"], described["steps"]) == (model.digest, 4)
    assert described["candidates"]["decoder.decoders.0.feed_forward"] == [1, 2, 5, 7, 10, 12, 14, 17, 19, 22, 24]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_training_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["supernet"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "training needs --total-steps" in capsys.readouterr().err
