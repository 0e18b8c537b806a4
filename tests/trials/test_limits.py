"""Budgets that no configuration can keep, groups that the model does not have, and targets that the machine lacks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paredown.doctor.finding import Finding  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.profilers.energy.energy import Energy, Figures, Origin  # noqa: E402
from paredown.profilers.energy.spread import Spread  # noqa: E402
from paredown.profilers.measurement import Measurement  # noqa: E402
from paredown.search.outcome import Rejected  # noqa: E402
from paredown.search.space_section import SpaceSection, SparsityAxisSpec  # noqa: E402
from paredown.search.study_file import read_spec  # noqa: E402
from paredown.space.axes.base import SearchSpace  # noqa: E402
from paredown.space.configuration import Configuration  # noqa: E402
from paredown.trials.limits import check_budgets, check_space, check_targets  # noqa: E402
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


def test_norms_can_be_pruned_though_they_hold_no_layer(model: Model) -> None:
    for scope in ("component", "global"):
        check_space(SpaceSection(sparsity=SparsityAxisSpec(groups=("encoder.norm", "decoder.norm"), max=0.5, scope=scope)), model)
    with pytest.raises(BadInput, match=r"sparsity\.groups must be groups of this model \(encoder\.subsampling, .*decoder.norm.*, got ctc"):
        check_space(SpaceSection(sparsity=SparsityAxisSpec(groups=("ctc",), max=0.5)), model)


class Counted:
    """An evaluator whose reference takes 80 mJ and whose smallest configuration between 30 and 50 mJ, or nothing that can be told."""

    def __init__(self, reference: Path, refused: bool = False) -> None:
        ratios = Spread(0.5, None, (0.375, 0.625), (0.45, 0.55))
        figures = Figures(Spread.of([40.0]), None, (("cpu", 40.0),), 1.0, None, ratios, 2.0, 16, 1, 3.0, 0, None)
        self._energy = Energy(Origin("rapl", "RAPL", "cpu", "counters", "measured"), figures)
        self._refused = refused
        self.reference = SimpleNamespace(bundle=reference, energy_mj=80.0)

    def count_energy(self, bundle: Path, reference: Path) -> Energy:
        if self._refused:
            raise Rejected("energy could not be counted")
        return self._energy


@pytest.mark.parametrize(("limit", "refused", "reachable"), [("29 mJ", False, False), ("31 mJ", False, True), ("1 mJ", True, True)])
def test_a_budget_on_energy_is_checked_with_its_interval(
    model: Model, tmp_path: Path, limit: str, refused: bool, reachable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, **{'"energy@cpu"': limit})
    study.write_text(study.read_text() + '[objectives]\nenergy = ["cpu"]\n')
    evaluator: Any = Counted(tmp_path / "reference", refused)
    with Workshop(model) as workshop:
        discarded: list[Configuration] = []
        monkeypatch.setattr(workshop, "build", lambda configuration: tmp_path / "smallest")
        monkeypatch.setattr(workshop, "discard", discarded.append)
        space = SearchSpace([], smallest(model))
        if reachable:
            check_budgets(read_spec(study), space, workshop, evaluator)
        else:
            with pytest.raises(BadInput, match=r"energy@cpu <= 29 mJ cannot be reached: .* an utterance takes 40 mJ"):
                check_budgets(read_spec(study), space, workshop, evaluator)
    assert discarded == [smallest(model)]


class Predicted:
    """Tells that every configuration takes between 40 and 60 ms."""

    def __init__(self, extrapolated: str = "") -> None:
        self._extrapolated = extrapolated

    def figures(self, configuration: Configuration) -> tuple[tuple[str, Measurement], ...]:
        detail = (("extrapolated", self._extrapolated),)
        return (("latency_ms@cpu", Measurement(50.0, "ms", (40.0, 60.0), 1, "estimated", detail)),)


class Timed:
    """An evaluator that says an utterance takes 45 ms, and how often it was asked."""

    def __init__(self, reference: Path) -> None:
        self.reference, self.asked = SimpleNamespace(bundle=reference, latency_ms=90.0), 0

    def time(self, bundle: Path, reference: Path) -> Any:
        self.asked += 1
        return SimpleNamespace(free=SimpleNamespace(ratio=0.5, ratio_ci95=(0.49, 0.51)))


@pytest.mark.parametrize(
    ("limit", "extrapolated", "message", "timed"),
    [
        ("39 ms", "", "latency@cpu <= 39 ms cannot be reached: .* is predicted to take 50.0 ms", 0),
        ("61 ms", "", None, 0),
        ("50 ms", "", None, 1),
        ("41 ms", "", "latency@cpu <= 41 ms cannot be reached: .* takes 45.0 ms", 1),
        ("39 ms", "search: steps", "latency@cpu <= 39 ms cannot be reached: .* takes 45.0 ms", 1),
    ],
)
def test_latency_is_timed_only_where_a_prediction_does_not_decide(
    model: Model, tmp_path: Path, limit: str, extrapolated: str, message: str | None, timed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = read_spec(write_study(tmp_path, **{'"latency@cpu"': limit}))
    evaluator: Any = Timed(tmp_path / "reference")
    foreseen: Any = Predicted(extrapolated)
    with Workshop(model) as workshop:
        monkeypatch.setattr(workshop, "build", lambda configuration: tmp_path / "smallest")
        space = SearchSpace([], smallest(model))
        if message is None:
            check_budgets(spec, space, workshop, evaluator, foreseen)
        else:
            with pytest.raises(BadInput, match=message):
                check_budgets(spec, space, workshop, evaluator, foreseen)
    assert evaluator.asked == timed


def test_a_target_that_the_machine_lacks_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = write_study(tmp_path)
    check_targets(read_spec(study))
    study.write_text(study.read_text() + '[objectives]\nlatency = ["cpu", "cuda"]\n[target]\nkernel = "nbits"\n')
    spec, look = read_spec(study), "paredown.doctor.accelerator.look_at_accelerator"
    there, missing = (
        Finding("GPU", "NVIDIA GPU", "ok", "H100", "x"),
        Finding("GPU", "run on the GPU", "missing", "no CUDA", "x", "pip this"),
    )
    monkeypatch.setattr(look, lambda: iter((there, missing)))
    with pytest.raises(BadInput, match="latency on cuda cannot be measured here: run on the GPU: no CUDA; it takes pip this"):
        check_targets(spec)
    monkeypatch.setattr(look, lambda: iter((there,)))
    check_targets(spec)
