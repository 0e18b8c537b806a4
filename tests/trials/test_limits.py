"""Budgets on size that no configuration can keep, found without building one."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.search.study_file import read_spec  # noqa: E402
from paredown.space.axes.base import SearchSpace  # noqa: E402
from paredown.space.configuration import Configuration  # noqa: E402
from paredown.trials.limits import check_budgets  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model, write_study  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def smallest(model: Model) -> Configuration:
    """Of those with all blocks and no zeros."""
    return Configuration(bits=tuple((layer.path, 2) for layer in model.inventory().layers))


@pytest.mark.parametrize("beside", [-1, 0])
def test_a_budget_on_size_is_checked_without_building(model: Model, tmp_path: Path, beside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(configuration: Configuration) -> Path:
        raise AssertionError("nothing is to be built")

    unused: Any = None
    with Workshop(model) as workshop:
        size_bytes = workshop.foretell(smallest(model)).size_bytes
        monkeypatch.setattr(workshop, "build", build)
        spec = read_spec(write_study(tmp_path, size=f"{size_bytes + beside} B"))
        space = SearchSpace([], smallest(model))
        if beside < 0:
            with pytest.raises(BadInput, match=f"with every axis at its lowest the bundle has {size_bytes / 1e6:.3f} MB"):
                check_budgets(spec, space, workshop, unused)
        else:
            check_budgets(spec, space, workshop, unused)
