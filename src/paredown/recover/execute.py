"""One training stage of a schedule: the network as the stages before it leave it, trained, and its weights under the model's names."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from paredown.compress.compress import CompressedModel, ranked_parts
from paredown.compress.network import compress_model, dense_network, names_in_network, ranked_parameters
from paredown.compress.recovered import Recovered, inherit
from paredown.compress.tensors import Array, as_matrix
from paredown.errors import BadInput
from paredown.recover.loss import read_weights
from paredown.recover.precision import training_device
from paredown.recover.semi_orthogonal import constrained_factors
from paredown.recover.stage import StageResult, train_stage
from paredown.recover.trainer import BatchSource
from paredown.space.configuration import HALF_BITS, Configuration, Scheme
from paredown.space.reduced import original_path
from paredown.space.training import Training

if TYPE_CHECKING:
    from paredown.models import Model
    from paredown.models.network import Network

SCHEMA = 1  # goes up when the same stages would give other weights
_PARTS = {"drop": ("keep",), "narrow": ("width", "heads"), "factorize": ("rank",), "prune": ("sparsity",)}
Told = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What a stage runs in: `folder` holds its checkpoints, `tell` takes lines for the user."""

    folder: Path
    tell: Told


def last_training(configuration: Configuration) -> int | None:
    """Where in the schedule the last training stage stands, None without one."""
    places = [place for place, stage in enumerate(configuration.schedule) if isinstance(stage, Training)]
    return places[-1] if places else None


def configuration_at(configuration: Configuration, place: int) -> Configuration:
    """What the transformations before this place of the schedule have done; nothing is quantized, whatever kernel is to come."""
    before = configuration.schedule[:place]
    later: dict[str, Any] = {part: () for stage, parts in _PARTS.items() if stage not in before for part in parts}
    return replace(configuration, bits=(), kernels=(), scheme=Scheme(), **later)


def recovery_digest(model_digest: str, configuration: Configuration, place: int, teacher_digest: str | None = None) -> str:
    """SHA-256 of all that the weights behind the training stage at this place depend on: neither bits, unless they were trained with,
    nor how the model decodes. `teacher_digest`: of the model that is learned from, None where that is the one that is trained.
    """
    prefix = configuration_at(configuration, place)
    value: dict[str, Any] = {"schema": SCHEMA, "model": model_digest, "input": _plain(prefix)["input"]}
    value |= {part: _plain(prefix)[part] for parts in _PARTS.values() for part in parts if getattr(prefix, part)}
    value["schedule"] = _plain(configuration)["schedule"][: place + 1]
    if any(isinstance(stage, Training) and stage.kind == "qat" for stage in configuration.schedule[: place + 1]):
        value |= {"bits": dict(configuration.bits), "granularity": configuration.scheme.granularity}
    if teacher_digest not in (None, model_digest):
        value["teacher"] = teacher_digest
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def run_stage(
    model: "Model", configuration: Configuration, place: int, start: Recovered | None, batches: BatchSource, around: Surroundings
) -> Recovered:
    """Trains what stands before the stage at this place of the schedule. `start`: weights of the stages before, or inherited ones.

    Raises BadInput where the data cannot be trained on (a loss that is not finite among others).
    """
    stage = configuration.schedule[place]
    assert isinstance(stage, Training)
    compressed = compress_model(model, configuration_at(configuration, place), recovered=start)
    network, names = dense_network(model, compressed), names_in_network(model, compressed)
    fill_others(network, names, start)
    paths = {name.removesuffix(".weight"): inner.removesuffix(".weight") for name, inner in names.items() if name.endswith(".weight")}
    widths = _widths(configuration, paths) if stage.kind == "qat" else {}
    steps = _start_of_steps(configuration, compressed, start, widths)
    if stage.semi_orthogonal is not None and not constrained_factors(network, stage.semi_orthogonal):
        stage = replace(stage, semi_orthogonal=None)
        around.tell(f"{stage.kind}: nothing that the configuration factorizes is to stay semi-orthogonal")
    try:
        result = train_stage(
            network.to(training_device()),
            stage,
            batches,
            read_weights(model.config),
            model.sos,
            around.folder,
            bits={paths[path]: bits for path, bits in widths.items()},
            granularity=configuration.scheme.granularity,
            masks={names[name]: mask for name, mask in _masks(model, configuration, place, compressed).items()},
            steps={paths[path]: torch.from_numpy(np.array(found)) for path, found in steps.items()},
        )
    except ValueError as error:
        raise BadInput(f"{stage.kind} at {stage.rate:g}: {error}") from error
    return _read(network, compressed, names, {path: (paths[path], bits) for path, bits in widths.items()}, result, place)


@torch.no_grad()
def fill_others(network: "Network", names: Mapping[str, str], start: Recovered | None) -> None:
    """What only training uses (a source CTC) goes on from where the training before left it."""
    if start is None:
        return
    own = dict(network.named_parameters())
    for name in set(own) - set(names.values()):
        if name in start.parameters:
            own[name].copy_(torch.from_numpy(np.array(start.parameters[name])))


def _start_of_steps(
    configuration: Configuration, compressed: CompressedModel, start: Recovered | None, widths: Mapping[str, int]
) -> dict[str, Array]:
    """Learned steps to begin with: those of the weights that `start` left, at the width that they were learned for."""
    if start is None:
        return {}
    arrays = {name: tensor for name, tensor in compressed.tensors.items() if isinstance(tensor, np.ndarray)}
    start = start if start.stages else inherit(arrays, compressed.cuts, start)
    found = {path: steps for path, bits in widths.items() if (steps := start.steps_of(path, bits)) is not None}
    by_channel = configuration.scheme.granularity == "channel"
    return {path: steps for path, steps in found.items() if len(steps) == (len(arrays[f"{path}.weight"]) if by_channel else 1)}


def _widths(configuration: Configuration, paths: Mapping[str, str]) -> dict[str, int]:
    """Bit-widths of the quantized layers and factors of the compressed model; those in half precision are left to themselves."""
    bits = {path: configuration.bits_of.get(original_path(path), HALF_BITS) for path in paths}
    return {path: width for path, width in bits.items() if width != HALF_BITS}


def _masks(model: "Model", configuration: Configuration, place: int, compressed: CompressedModel) -> dict[str, torch.Tensor]:
    """True where a weight survived pruning, of every parameter that is pruned by now."""
    groups, found = ranked_parameters(model), {}
    pruned = configuration_at(configuration, place)
    for group, share in pruned.sparsity:
        if share > 0:
            for name in ranked_parts(groups[group], pruned):
                tensor = compressed.tensors[name]
                array = tensor if isinstance(tensor, np.ndarray) else as_matrix(tensor)
                found[name] = torch.from_numpy(array != 0)
    return found


def _read(
    network: "Network",
    compressed: CompressedModel,
    names: Mapping[str, str],
    widths: Mapping[str, tuple[str, int]],
    result: StageResult,
    place: int,
) -> Recovered:
    """The trained weights by the names of the compressed model, and of what only training uses by their own."""
    trained = {name: value.detach().cpu().float().numpy().copy() for name, value in network.named_parameters()}
    parameters = {name: trained[inner].reshape(_shape(compressed, name)) for name, inner in names.items()}
    parameters |= {name: array for name, array in trained.items() if name not in set(names.values())}
    steps = {path: result.steps[inner].detach().cpu().float().numpy().reshape(-1) for path, (inner, _) in widths.items()}
    bits = {path: width for path, (_, width) in widths.items()}
    return Recovered(parameters, compressed.cuts, steps, bits, place + 1, result.to_dict())


def _shape(compressed: CompressedModel, name: str) -> tuple[int, ...]:
    tensor = compressed.tensors[name]
    return tensor.shape if isinstance(tensor, np.ndarray) else tensor.codes.shape


def _plain(configuration: Configuration) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(configuration.to_json())
    return value
