"""Sizes that a workshop foretells, against those of what it builds."""

from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch")

from paredown.compress.calibration import Calibration  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.size import measure_breakdown, measure_size  # noqa: E402
from paredown.space.axes.layers import is_kept  # noqa: E402
from paredown.space.configuration import Configuration, Scheme  # noqa: E402
from paredown.trials.foretelling import foretell_breakdown  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


def smallest(model: Model) -> Configuration:
    """Of those with all blocks and no zeros."""
    return Configuration(bits=tuple((layer.path, 2) for layer in model.inventory().layers))


def test_a_workshop_foretells_what_it_builds(model: Model) -> None:
    with Workshop(model) as workshop:
        foretold = workshop.foretell(smallest(model))
        assert foretold.files == measure_size(workshop.build(smallest(model))).files
        calibrated = Configuration(bits=smallest(model).bits, scheme=Scheme(method="gptq"))
        with pytest.raises(BadInput, match="needs a calibration"):
            workshop.foretell(calibrated)
        workshop.calibration = Calibration((), (), "7" * 64, 12)
        assert workshop.foretell(calibrated).files == measure_size(workshop.build(calibrated)).files


def test_bytes_by_kind_and_ratios_are_foretold_too(model: Model) -> None:
    sparse = replace(smallest(model), sparsity=(("decoder.feed_forward", 0.8), ("encoder.norm", 0.1)), keep=(("decoder", (0, 2)),))
    sparse = replace(sparse, bits=tuple((path, 8) for path, _ in sparse.bits if is_kept(path, sparse)))
    with Workshop(model) as workshop:
        foretold = foretell_breakdown(workshop, sparse)
        assert foretold == measure_breakdown(workshop.build(sparse))
        assert foretold.weights.masks_bytes > 0
        assert sum(asdict(foretold.weights).values()) == foretold.size.kinds["weights"]
