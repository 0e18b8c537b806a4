"""Families: what they hold, their file, and measuring one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paredown.analysis.array_file import save_array
from paredown.analysis.cache import AnalysisCache
from paredown.analysis.darts.alphas import SearchSettings
from paredown.analysis.darts.candidates import Choice
from paredown.analysis.darts.family import Family, describe_settings, eta_ladder
from paredown.analysis.darts.measure import measure_family
from paredown.models.model import SUPERNET, Model, load_model
from tests.analysis.darts.tiny import tiny_samples
from tests.models.checkpoints import st_config, write_checkpoint

CHOICES = (Choice("a", (2, 4, 8), (0.002, 0.004, 0.008)), Choice("b", (1, 3), (0.001, 0.003)))
QUICK = SearchSettings(steps=9, rate=0.5, batch_frames=300, autocast=False)


def _family() -> Family:
    return Family("width", CHOICES, (0.0, 0.5), ((8, 3), (4, 1)), SearchSettings(softmax="plain"), "2 utterances", 1.5)


def test_family_returns_from_its_file(tmp_path: Path) -> None:
    cache = AnalysisCache(tmp_path)
    cache.store("key", _family())
    assert cache.load("key", Family) == _family()
    _family().save(tmp_path / "family.npz")
    content = (tmp_path / "family.npz").read_bytes()
    (tmp_path / "family.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="a family of architectures must be as paredown wrote it"):
        Family.load(tmp_path / "family.npz")
    save_array(tmp_path / "other.npz", "a family of architectures", torch.zeros(1, 1).double().numpy(), {"etas": [0.0]})
    with pytest.raises(ValueError, match="a family of architectures must be as paredown wrote it"):
        Family.load(tmp_path / "other.npz")


def test_parameters_and_digest() -> None:
    family = _family()
    assert family.parameters == (11_000, 5_000)
    assert family.paths == ("a", "b")
    assert replace(family, seconds=9.0).digest == family.digest
    assert replace(family, sizes=((8, 3), (4, 3))).digest != family.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "depth"}, "of kind width or rank, got 'depth'"),
        ({"etas": (0.5, 0.0)}, "ascending, finite and at least 0"),
        ({"etas": (0.0,)}, "every eta needs its sizes, got 2 for 1 etas"),
        ({"sizes": ((8, 3), (5, 1))}, "sizes must be candidates of their layer, got 5 for a"),
    ],
)
def test_families_are_checked(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_family(), **changes)  # type: ignore[arg-type]


def test_ladder_of_penalties() -> None:
    assert eta_ladder(0.0, 0.8, steps=4) == (0.0, 0.1, 0.2, 0.4, 0.8)
    assert eta_ladder(0.3, 0.8, steps=4) == (0.3, 0.4, 0.8)
    assert eta_ladder(0.0, 0.0) == (0.0,)
    with pytest.raises(ValueError, match=r"at least 0 up to a finite value, got \[0.2, 0.1\]"):
        eta_ladder(0.2, 0.1)


def test_key_depends_on_every_setting() -> None:
    base = describe_settings("width", (0.0, 0.1), QUICK)
    assert base != describe_settings("rank", (0.0, 0.1), QUICK)
    assert base != describe_settings("width", (0.0, 0.2), QUICK)
    assert base != describe_settings("width", (0.0, 0.1), replace(QUICK, seed=1))


def _model(folder: Path) -> Model:
    return load_model(write_checkpoint(folder, st_config()))


@pytest.mark.parametrize("kind", ["width", "rank"])
def test_measured_family_depends_neither_on_threads_nor_on_other_members(kind: str, tmp_path: Path) -> None:
    model, samples = _model(tmp_path), tiny_samples()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    seen: list[tuple[int, int]] = []
    one = measure_family(model, samples, kind, (0.0, 1e3), QUICK, progress=lambda *now: seen.append(now))  # type: ignore[arg-type]
    two = measure_family(model, samples, kind, (0.0, 50.0, 1e3), QUICK, threads=2)  # type: ignore[arg-type]
    assert (one.kind, one.etas, seen) == (kind, (0.0, 1e3), [(1, 2), (2, 2)])
    assert (two.sizes[0], two.sizes[2]) == one.sizes
    assert one.parameters[1] < one.parameters[0]
    assert len(one.paths) == (6 if kind == "width" else 12)
    assert all(torch.equal(value, model.network.state_dict()[name]) for name, value in before.items())
    with pytest.raises(ValueError, match="at least one utterance, got none"):
        measure_family(model, [], kind, (0.0,), QUICK)  # type: ignore[arg-type]


def test_units_of_a_supernet_stay_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The units of another model are ordered first: only that call is looked for here."""
    ordered: list[bool] = []
    monkeypatch.setattr("paredown.analysis.darts.measure.order_units", lambda *_: ordered.append(True))
    model = _model(tmp_path)
    assert not model.is_supernet
    measure_family(model, tiny_samples(), "width", (0.0,), QUICK)
    assert ordered == [True]
    (tmp_path / SUPERNET).write_text("{}")
    assert model.is_supernet
    measure_family(model, tiny_samples(), "width", (0.0,), QUICK)
    assert ordered == [True]
