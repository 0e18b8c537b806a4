"""The toy problem with training: quality comes back with the steps that a trial was trained, in all."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from paredown.search.outcome import Outcome
from paredown.search.recovery import Recovering, plain
from paredown.search.recovery_section import RecoverySection
from paredown.search.spec import StudySpec
from paredown.search.study_file import make_spec
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory, LayerInfo
from tests.search import toy

DATA, OTHER = "a" * 64, "b" * 64
INVENTORY = Inventory(
    tuple(
        LayerInfo(f"decoder.decoders.{block}.feed_forward.{role}", "decoder.feed_forward", (10, 10), "linear")
        for block in range(6)
        for role in ("w_1", "w_2")
    ),
    (),
    (("decoder", 6),),
)
STEPS: dict[str, Any] = {"short_steps": 10, "long_steps": 90}


def section(**settings: Any) -> RecoverySection:
    return RecoverySection.model_validate(STEPS | settings)


def key(configuration: Configuration) -> str:
    """Of all that training sees: everything but bits and decoding."""
    seen = replace(configuration, bits=(), decode=toy.UNCOMPRESSED.configuration.decode)
    return hashlib.sha256(f"recovery of {seen.to_json()}".encode()).hexdigest()


def recovering(**settings: Any) -> Recovering:
    return Recovering(section(**settings), DATA, None, INVENTORY, toy.UNCOMPRESSED.configuration, key)


def spec(trials: int, time: str | None = None, sampler: str = "random", **settings: Any) -> StudySpec:
    value = toy.toy_spec(sampler=sampler, trials=trials, time=time).model_dump(mode="json", by_alias=True, exclude_none=True)
    return make_spec(value | {"data": {"train": "train"}, "recovery": STEPS | settings})


def steps_of(configuration: Configuration) -> tuple[int, ...]:
    return tuple(stage.steps or 0 for stage in configuration.trainings)


def evaluate(configuration: Configuration, number: int) -> Outcome:
    """Half of what compression costs comes back with ten steps, all but a tenth with ninety."""
    lost = toy.evaluate(configuration, number).value("quality")
    left = lost * 10.0 / (10.0 + sum(steps_of(configuration)))
    whole = toy.evaluate(configuration, number)
    return toy.outcome(left, whole.value("latency_ms@cpu"), whole.value("size_bytes"))


def plain_digests(configurations: Sequence[Configuration]) -> list[str]:
    return [plain(configuration).digest for configuration in configurations]
