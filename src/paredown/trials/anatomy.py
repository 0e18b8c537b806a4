"""What a configuration is made of: bytes by module group, what each axis saves, work by stage. Nothing is built.

Bytes are foretold to the byte; work is counted. Needs the model, and so torch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paredown.models.input_size import resize_input
from paredown.runtime.bundle_files import WEIGHTS, TensorRecord
from paredown.space.configuration import Configuration
from paredown.space.macs import Units, Workload
from paredown.space.reduced import original_path
from paredown.space.reset import reset_axes
from paredown.trials.evaluation import FIXED_TOKENS, MACS_AUDIO_S, uncompressed
from paredown.trials.operations import count_frames, operations_of, read_structure
from paredown.trials.workshop import Workshop

if TYPE_CHECKING:
    from paredown.models import Model

VECTORS = "norms, biases"
Parts = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Anatomy:
    """Of one configuration, pairs of part and figure.

    `group_bytes`: of `weights.bin` by module group; `file_bytes`: of the other files; both sum to the bundle. `axis_bytes`: what the bundle
    would weigh more without each axis, the others left, which need not sum to anything. `stage_macs`: multiply-accumulates of 5 s of audio
    and 16 tokens.
    """

    size_bytes: int
    group_bytes: Parts
    file_bytes: Parts
    axis_bytes: Parts
    stage_macs: Parts


def read_anatomies(model: "Model", configurations: Iterable[Configuration]) -> Iterator[Anatomy]:
    """Of each configuration in turn, some 50 ms each.

    Raises BadInput for a configuration that this model cannot take.
    """
    with Workshop(model) as workshop:
        for configuration in configurations:
            yield _anatomy(model, workshop, configuration)


def _anatomy(model: "Model", workshop: Workshop, configuration: Configuration) -> Anatomy:
    whole = workshop.foretell(configuration)
    without = reset_axes(configuration, model.inventory(), uncompressed(model).decode)
    saved = {axis: float(workshop.foretell(one).size_bytes - whole.size_bytes) for axis, one in without.items()}
    return Anatomy(
        whole.size_bytes,
        _by_group(whole.records, {layer.path: layer.group for layer in model.inventory().layers}),
        tuple((name, float(size)) for name, size in whole.files if name != WEIGHTS),
        tuple((axis, size) for axis, size in saved.items() if size),
        _stage_macs(model, configuration),
    )


def _by_group(records: Iterable[TensorRecord], groups: Mapping[str, str]) -> Parts:
    """Bytes of codes and scales of every module group, what belongs to no layer last."""
    found: dict[str, float] = {}
    for record in records:
        group = groups.get(original_path(record.name.removesuffix(".weight")), VECTORS)
        found[group] = found.get(group, 0.0) + record.nbytes + 4 * record.channels
    order = [*dict.fromkeys(groups.values()), VECTORS]
    return tuple((group, found[group]) for group in order if group in found)


def _frames(model: "Model", configuration: Configuration) -> int:
    frontend = resize_input(model.frontend, configuration.input)
    return count_frames(frontend, round(MACS_AUDIO_S * frontend.sample_rate_hz))


def _stage_macs(model: "Model", configuration: Configuration) -> Parts:
    structure = read_structure(model)
    operations = operations_of(model.inventory(), configuration, structure)
    load = Workload.fixed(_frames(model, configuration), FIXED_TOKENS, configuration.decode.beam_size)
    units = Units.of(operations, structure, load)
    once = sum(units.count(one) * one.macs for one in operations if not one.is_step)
    steps = sum(units.count(one) * one.macs for one in operations if one.is_step)
    return (("encoder", float(once)), ("search", float(steps)))
