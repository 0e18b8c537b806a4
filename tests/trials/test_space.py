"""The space of a study: what is tried first keeps to the rules of its bit-widths, and zeros are ranked over the weights that are pruned."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.analysis.result import WIDTHS, Analysis  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.models.model import SUPERNET  # noqa: E402
from paredown.search.space_section import SpaceSection  # noqa: E402
from paredown.space.axes.base import SearchSpace  # noqa: E402
from paredown.trials.findings import Findings  # noqa: E402
from paredown.trials.space import first_candidates, make_space, obvious_candidates, uniform_bits  # noqa: E402
from paredown.trials.supernets import keep_supernet  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def space_of(section: SpaceSection, model: Model, supernet: str | None = None) -> SearchSpace:
    paths = tuple(layer.path for layer in model.inventory().layers)
    analysis = Analysis(paths, np.zeros((len(paths), len(WIDTHS))), {}, "nothing", 0.0)
    return make_space(section, model, Findings(analysis, supernet=supernet), lambda _: {})


def test_what_is_tried_first_keeps_to_the_rules_of_the_study(model: Model) -> None:
    rules = {"least": {"encoder.encoders.0": 6}, "fixed": {"decoder": 32, "encoder.subsampling": 16}}
    section = SpaceSection.model_validate({"bits": {"average": (4.0, 8.0), **rules}})
    space = space_of(section, model)
    uncompressed, *opening = first_candidates(space, model)
    assert uncompressed.configuration.bits == ()
    assert {candidate.label for candidate in opening} == {"opening"}
    candidates = obvious_candidates(space, section, model)
    assert [candidate.label for candidate in candidates] == ["uniform 8 bits", "uniform 6 bits", "uniform 4 bits"]
    for candidate in (*opening, *candidates):
        bits = candidate.configuration.bits_of
        assert not any(path.startswith("decoder.") for path in bits)
        assert all(width >= 6 for path, width in bits.items() if path.startswith("encoder.encoders.0."))
        assert {width for path, width in bits.items() if path.startswith("encoder.embed.")} == {16}
    assert candidates[-1].configuration.bits_of["encoder.encoders.1.feed_forward.w_1"] == 4


def test_without_rules_the_obvious_ones_are_uniform(model: Model) -> None:
    section = SpaceSection.model_validate({"sparsity": {"groups": ("decoder.feed_forward",), "max": 0.5}})
    space = space_of(section, model)
    found = obvious_candidates(space, section, model)
    expected = [uniform_bits(model.inventory(), bits, space.base.decode, space.base.scheme) for bits in (8, 6, 4)]
    assert [candidate.configuration for candidate in found] == expected


def test_zeros_are_ranked_over_the_weights_of_the_supernet(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "supernet"
    shutil.copytree(model.path, folder)
    (weights,) = folder.glob("*.pth")
    state = torch.load(weights)
    torch.save(
        {name: value * 0.1 if ".feed_forward" in name and name.startswith("decoder") else value for name, value in state.items()}, weights
    )
    (folder / SUPERNET).write_text(json.dumps({"base": model.digest}))
    supernet = load_model(folder)
    keep_supernet(supernet)
    section = SpaceSection.model_validate({"sparsity": {"groups": ("decoder.feed_forward", "encoder.conv"), "max": 0.5, "scope": "global"}})
    knobs = {"sparsity.share": 0.3}
    own, taken, direct = (space_of(section, *given) for given in ((model,), (model, supernet.digest), (supernet,)))
    assert taken.resolve(knobs).sparsity == direct.resolve(knobs).sparsity != own.resolve(knobs).sparsity
