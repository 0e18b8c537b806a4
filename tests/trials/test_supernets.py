"""Supernets are found by their digest, must fit the model, and give the weights of what a workshop builds."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paredown.compress.calibration import Calibration  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.models.model import SUPERNET, digest_model  # noqa: E402
from paredown.profilers.size import measure_size  # noqa: E402
from paredown.space.configuration import TRANSFORMATIONS, Configuration, Scheme  # noqa: E402
from paredown.trials.supernets import find_supernet, keep_supernet  # noqa: E402
from paredown.trials.workshop import Workshop  # noqa: E402
from paredown.user_cache import cache_folder  # noqa: E402
from tests.commands.tiny import write_model  # noqa: E402
from tests.models.checkpoints import st_config, write_checkpoint  # noqa: E402

PLAIN = Scheme(kernel="fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def supernet(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model of the same shape and other weights, said to be a supernet; the cache is empty."""
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "supernet"
    shutil.copytree(model.path, folder)
    (weights,) = folder.glob("*.pth")
    torch.save({name: value * 0.9 if value.is_floating_point() else value for name, value in torch.load(weights).items()}, weights)
    (folder / SUPERNET).write_text(json.dumps({"base": model.digest}))
    return load_model(folder)


def _configuration(model: Model, supernet: str | None, scheme: Scheme = PLAIN) -> Configuration:
    """Every feed-forward at half of its units."""
    width = tuple((path, units // 2) for path, units in model.inventory().feed_forwards.items())
    first = () if supernet is None else (f"supernet:{supernet}",)
    bits = tuple((layer.path, 8) for layer in model.inventory().layers) if scheme != PLAIN else ()
    return Configuration(width=width, bits=bits, schedule=(*first, *TRANSFORMATIONS), scheme=scheme)


def test_kept_supernets_are_found_by_digest(model: Model, supernet: Model) -> None:
    assert supernet.is_supernet
    assert not model.is_supernet
    assert digest_model(supernet.path) == supernet.digest != model.digest
    with pytest.raises(BadInput, match=rf"the supernet {supernet.digest[:12]} of this configuration is not at hand: name its folder"):
        find_supernet(model, supernet.digest)
    kept = keep_supernet(supernet)
    assert keep_supernet(supernet) == kept != supernet.path
    found = find_supernet(model, supernet.digest)
    assert (found.digest, found.is_supernet, found.path) == (supernet.digest, True, kept)
    assert sorted(path.name for path in kept.parent.iterdir()) == [supernet.digest]


def test_a_damaged_folder_in_the_cache_is_in_nobodys_way(model: Model, supernet: Model) -> None:
    kept = keep_supernet(supernet)
    (kept.parent / ("0" * 64)).mkdir()  # in front of the other
    assert find_supernet(model, supernet.digest).path == kept


def test_a_copy_that_fails_leaves_nothing_behind(supernet: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that another process makes at the same time, which is taken."""

    def fill(source: Path, target: Path) -> Path:
        target.mkdir()
        (target / "half.pth").write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    copy = shutil.copytree
    monkeypatch.setattr(shutil, "copytree", fill)
    with pytest.raises(BadInput, match="No space left on device"):
        keep_supernet(supernet)
    assert list((cache_folder() / "supernets").iterdir()) == []

    def be_late(source: Path, target: Path) -> Path:
        copy(source, cache_folder() / "supernets" / target.name)
        return copy(source, target)

    monkeypatch.setattr(shutil, "copytree", be_late)
    kept = keep_supernet(supernet)
    assert digest_model(kept) == supernet.digest
    assert list(kept.parent.iterdir()) == [kept]


def test_being_a_supernet_is_part_of_the_digest(supernet: Model) -> None:
    """The same weights without the file are narrowed otherwise."""
    (supernet.path / SUPERNET).unlink()
    assert digest_model(supernet.path) != supernet.digest


def test_only_supernets_are_kept(model: Model) -> None:
    with pytest.raises(BadInput, match=r"a supernet's folder holds supernet\.json"):
        keep_supernet(model)


def test_a_supernet_must_have_the_shape_of_the_model(model: Model, supernet: Model, tmp_path: Path) -> None:
    keep_supernet(supernet)
    other = load_model(write_checkpoint(tmp_path / "other", st_config()))
    with pytest.raises(BadInput, match="a supernet must have the layers of the model"):
        find_supernet(other, supernet.digest)


def test_a_cache_that_cannot_be_written_is_said(supernet: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PAREDOWN_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="the cache folder must be writable"):
        keep_supernet(supernet)


def test_a_workshop_takes_the_supernets_weights(model: Model, supernet: Model) -> None:
    keep_supernet(supernet)
    with Workshop(model) as workshop, Workshop(supernet) as its_own:
        named, own = _configuration(model, supernet.digest), _configuration(model, None)
        built = workshop.build(named)
        assert workshop.foretell(named).files == measure_size(built).files
        assert (built / "weights.bin").read_bytes() == (its_own.build(own) / "weights.bin").read_bytes()
        assert (built / "weights.bin").read_bytes() != (workshop.build(own) / "weights.bin").read_bytes()
        assert workshop.weights_of(own) is model
        assert workshop.weights_of(named) is workshop.weights_of(named)


def test_a_supernet_needs_a_calibration_of_its_own(model: Model, supernet: Model) -> None:
    keep_supernet(supernet)
    named = _configuration(model, supernet.digest, Scheme(method="gptq"))
    empty = Calibration((), (), "7" * 64, 12)
    with Workshop(model) as workshop:
        workshop.calibration = empty
        with pytest.raises(BadInput, match="needs a calibration"):
            workshop.foretell(named)
        workshop.calibration_of[supernet.digest] = empty
        assert workshop.foretell(named).size_bytes > 0


def test_first_units_are_the_narrow_supernet(model: Model, supernet: Model) -> None:
    """What is built has the first half of the supernet's units, in their order."""
    from paredown.compress.network import compress_model

    named = _configuration(model, supernet.digest)
    tensors = compress_model(supernet, named).tensors
    for path, units in named.width:
        expected = supernet.network.get_parameter(f"{path}.w_1.weight").detach().numpy()[:units]
        np.testing.assert_array_equal(tensors[f"{path}.w_1.weight"], expected)
