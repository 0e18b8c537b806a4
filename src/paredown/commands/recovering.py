"""The flags that train a model before it is quantized."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from paredown.commands.printing import positive, real
from paredown.errors import BadInput
from paredown.space.configuration import Configuration
from paredown.space.training import ADAPTERS, Kind, Mixture, Training

if TYPE_CHECKING:
    from paredown.recover.training_data import TrainingData

_OPTIONS = ("steps", "minutes", "teacher", "rate", "rank", "distilled")


def add_recovery(parser: argparse.ArgumentParser) -> None:
    """Flags of `with_recovery`."""
    group = parser.add_argument_group("recovery", "training before the weights are quantized; needs --train and --steps or --minutes")
    group.add_argument("--recover", choices=get_args(Kind), help="all weights, all as codes would have them (qat), or adapters")
    group.add_argument("--train", metavar="DATA", help="what it trains on: a manifest or a folder")
    group.add_argument("--other", metavar="DATA", help="out-of-domain data, each utterance once a pass")
    bound = group.add_mutually_exclusive_group()
    bound.add_argument("--steps", type=positive)
    bound.add_argument("--minutes", type=real)
    group.add_argument("--teacher", type=real, help="share of the loss that follows the uncompressed model's posteriors, 0 to 1")
    group.add_argument("--distilled", type=int, metavar="N", help="how often a pass takes what the uncompressed model says of an utterance")
    group.add_argument("--rate", type=real, help="peak learning rate (default 5e-4)")
    group.add_argument("--rank", type=positive, help="of adapters (default 64)")


def check_recovery(options: argparse.Namespace) -> None:
    """Raises BadInput for flags that say nothing without others."""
    given = [f"--{name}" for name in _OPTIONS if getattr(options, name) is not None]
    if options.recover is None and given:
        raise BadInput(f"{', '.join(given)} say how a model is recovered, got no --recover")
    if options.recover is not None and (options.train is None or (options.steps is None) == (options.minutes is None)):
        raise BadInput("--recover needs --train DATA and a bound, --steps N or --minutes N")
    if options.other is not None and options.train is None:
        raise BadInput("--other is out-of-domain data beside --train DATA, got it alone")
    if options.rank is not None and options.recover not in ADAPTERS:
        raise BadInput(f"--rank is that of adapters, of --recover lora or qlora; got {options.rank} for {options.recover}")


def open_training(options: argparse.Namespace) -> "TrainingData | None":
    """The data that the flags name, None where they name none. Raises BadInput where it cannot be read."""
    from paredown.data import load_split
    from paredown.recover.training_data import TrainingData

    if options.train is None:
        return None
    other = load_split(options.other, labelled=False) if options.other else None
    return TrainingData(load_split(options.train, labelled=False), other)


def with_recovery(configuration: Configuration, options: argparse.Namespace, data: "TrainingData | None") -> Configuration:
    """The configuration with a training stage in front of its codes, as the flags say, all its other stages as they are.

    Raises BadInput for impossible flags, and for data that nothing trains on.
    """
    if options.recover is None or data is None:
        if data is not None and not configuration.trainings:
            raise BadInput(f"--train is data for --recover or for a configuration that trains, got {options.train} for neither")
        return configuration
    if configuration.trainings:
        raise BadInput("--recover adds a training stage, the configuration file has some already")
    if options.recover == "qat" and not configuration.bits:
        raise BadInput("--recover qat trains layers as their codes will have them, got no codes: add --bits 2 to 8")
    settings: dict[str, Any] = {name: getattr(options, name) for name in ("steps", "minutes", "rate", "rank")}
    teacher = options.teacher if options.teacher is not None else 0.5 if options.recover == "distill" and not options.distilled else 0.0
    try:
        mixture = Mixture(1, options.distilled or 0, 1 if data.other is not None else 0)
        stage = Training(
            options.recover,
            data.digest,
            teacher=teacher,
            mixture=mixture,
            other_data=data.other_digest,
            **{name: value for name, value in settings.items() if value is not None},
        )
        *before, quantize = configuration.schedule
        return replace(configuration, schedule=(*before, stage, quantize))
    except ValueError as error:
        raise BadInput(str(error)) from None
