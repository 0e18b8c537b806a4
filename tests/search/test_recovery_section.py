"""The table `[recovery]`: its defaults, its rungs, the stages it makes, and one line for everything that can be wrong."""

from typing import Any

import pytest

from paredown.errors import BadInput
from paredown.search.recovery_section import RecoverySection
from paredown.search.study_file import parse_spec, to_toml
from paredown.space.training import Mixture, Training

EXAMPLE = """
name = "a"
model = { path = "m" }
data = { train = "train" }
[space]
layers = { decoder = [1, 2] }
[recovery]
kind = "distill"
short = "30 s"
long = "4 min"
"""
DATA, OTHER = "a" * 64, "b" * 64


def section(**settings: Any) -> RecoverySection:
    return RecoverySection.model_validate(settings)


def test_thirty_seconds_and_four_minutes_of_distillation_are_the_default() -> None:
    assert section() == section(kind="distill", short="30 s", long="4 min", eta=3)
    assert section().rungs == (30.0, 90.0, 240.0)
    assert section().training(0, DATA, None) == Training("distill", DATA, minutes=0.5, teacher=0.5)
    assert section().training(2, DATA, None) == Training("distill", DATA, minutes=2.5, teacher=0.5, seed=2)


@pytest.mark.parametrize(
    ("settings", "rungs"),
    [
        ({"short": "1 min", "long": "1 min"}, (60.0,)),
        ({"short": "1 min", "long": "10 min"}, (60.0, 180.0, 600.0)),
        ({"short": "1 min", "long": "9 min"}, (60.0, 180.0, 540.0)),
        ({"short": "1 min", "long": "90 s"}, (60.0, 90.0)),
        ({"short_steps": 10, "long_steps": 80, "eta": 2}, (10.0, 20.0, 40.0, 80.0)),
    ],
)
def test_rungs_grow_by_about_eta_up_to_the_long_one(settings: dict[str, Any], rungs: tuple[float, ...]) -> None:
    found = section(**settings)
    assert found.rungs == rungs
    stages = [found.training(rung, DATA, None) for rung in range(len(rungs))]
    trained = sum((stage.steps or 0) + 60.0 * (stage.minutes or 0.0) for stage in stages)
    assert trained == pytest.approx(rungs[-1])


def test_everything_of_a_stage_can_be_said() -> None:
    given = {"rate": 1e-4, "warmup_steps": 5, "batch_s": 40.0, "masking": False, "dropout": False, "weight_decay": 0.0, "cooldown": 0.5}
    found = section(kind="qat", short_steps=3, long_steps=3, seed=4, teacher=0.25, mixture={"distilled": 2, "out_of_domain": 1}, **given)
    expected = Training("qat", DATA, steps=3, teacher=0.25, seed=4, other_data=OTHER, mixture=Mixture(1, 2, 1), **given)  # type: ignore[arg-type]
    assert found.training(0, DATA, OTHER) == expected
    assert section(kind="lora", rank=8, alpha=4.0).training(0, DATA, OTHER).rank == 8
    assert section(kind="fine-tune").training(0, DATA, None).teacher == 0.0


def test_written_back_it_is_the_same_study() -> None:
    spec = parse_spec(EXAMPLE + "mixture = { distilled = 10 }\nteacher = 0.25\n")
    assert parse_spec(to_toml(spec)) == spec
    steps = parse_spec(EXAMPLE.replace('short = "30 s"\nlong = "4 min"', "short_steps = 4\nlong_steps = 8"))
    assert parse_spec(to_toml(steps)) == steps


def test_equal_recoveries_are_described_alike_however_they_are_written() -> None:
    assert section(short="30 s", long="4 min").describe() == section(short="0.5 min", long=240, teacher=0.5).describe()
    assert section().describe() != section(eta=4).describe()
    assert all(name.startswith("recovery ") for name in section().describe())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('train = "train"', 'search = "s"', "recovery needs data.train, a manifest or a folder to train on, got none"),
        ('train = "train"', 'train = "train", other = "o"', "data.other and recovery.mixture.out_of_domain go together, got o and 0"),
        ('"30 s"', '"30 s"\nmixture = { out_of_domain = 1 }', "data.other and recovery.mixture.out_of_domain go together, got None and 1"),
        ('"30 s"', '"30 parsecs"', "recovery.short: a time of recovery must have a unit"),
        ('"30 s"', '"5 min"', "recovery: short must be at most long, got 5 min"),
        ('short = "30 s"', "", "short and long must bound a recovery, or short_steps and long_steps, got {'long': '4 min'}"),
        ('short = "30 s"', 'short = "30 s"\nshort_steps = 4\nlong_steps = 8', "short and long must bound a recovery, or short_steps"),
        ('short = "30 s"', 'short = "30 s"\nshort_steps = 4', "short and long must bound a recovery, or short_steps"),
        ('"distill"', '"distil"', "recovery.kind: must be 'fine-tune', .*got 'distil'"),
        ('"distill"', '"distill"\nteacher = 0', "recovery: distill needs a teacher"),
        ('"distill"', '"fine-tune"\nteacher = 0.5', r"recovery: fine-tune has no teacher \(distill has\), got teacher = 0.5"),
        ('"distill"', '"distill"\nrate = 2.0', r"recovery: rate must be a number in \(0, 1\], got 2.0"),
        ('"distill"', '"distill"\neta = 1', "recovery.eta: must be greater than or equal to 2, got 1"),
        ('"distill"', '"distill"\nmixture = { references = 0 }', "recovery: a mixture must take something, got 0 of everything"),
        ('"distill"', '"distill"\nmixture = { distiled = 1 }', "unknown key 'recovery.mixture.distiled'; did you mean 'distilled'"),
        ('"distill"', '"distill"\nminutes = 3', "unknown key 'recovery.minutes'"),
        ('"distill"', '"distill"\nsemi_orthogonal = "SLLS"', "recovery.semi_orthogonal needs the axis rank, got 'SLLS' without it"),
    ],
)
def test_every_mistake_gets_one_line(old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(BadInput, match=message) as caught:
        parse_spec(EXAMPLE.replace(old, new, 1), "study.toml")
    assert str(caught.value).startswith("study.toml")
    assert "\n" not in str(caught.value)


def test_out_of_domain_data_without_training_is_refused() -> None:
    text = EXAMPLE[: EXAMPLE.index("[recovery]")].replace('train = "train"', 'other = "o"')
    with pytest.raises(BadInput, match=r"data\.other and recovery\.mixture\.out_of_domain go together, got o and 0"):
        parse_spec(text)
