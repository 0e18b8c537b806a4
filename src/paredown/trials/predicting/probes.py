"""Models of other shapes than the given one, with random weights: what the latency of operators is read off.

Weights do not change how long a product takes, so random ones of a shape serve; nothing is trained and nothing decoded means anything.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paredown.profilers.machine_lock import machine_share
from paredown.space.configuration import Configuration, Kernel, Scheme

if TYPE_CHECKING:
    from paredown.models import Model

_CODE_BITS = 8  # any bit-width runs in the same kernel
_SECTIONS = {
    "encoder_blocks": ("encoder_conf", "num_blocks"),
    "encoder_units": ("encoder_conf", "linear_units"),
    "decoder_blocks": ("decoder_conf", "num_blocks"),
    "decoder_units": ("decoder_conf", "linear_units"),
    "width": ("encoder_conf", "output_size"),
    "hop_samples": ("frontend_conf", "hop_length"),
}


@dataclass(frozen=True)
class Shape:
    """What of a model's shape is changed, None is left as it is, and the kernel that computes all of its layers.

    `encoder_units` and `decoder_units`: width of the feed-forwards; `width`: of everything between them; `hop_samples`: of the features.
    """

    kernel: Kernel = "fp32"
    encoder_blocks: int | None = None
    decoder_blocks: int | None = None
    encoder_units: int | None = None
    decoder_units: int | None = None
    width: int | None = None
    hop_samples: int | None = None

    def __post_init__(self) -> None:
        for name in _SECTIONS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    @property
    def name(self) -> str:
        """A name for files: equal shapes have equal names, others have others."""
        numbers = "-".join("x" if getattr(self, name) is None else str(getattr(self, name)) for name in _SECTIONS)
        return f"{self.kernel}-{numbers}"


def reshape_config(config: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """A model's ESPnet config in another shape."""
    changed = copy.deepcopy(dict(config))
    for name, (section, key) in _SECTIONS.items():
        value = getattr(shape, name)
        if value is not None:
            changed[section] = {**(changed.get(section) or {}), key: value}
    return changed


def configuration_of(model: "Model", shape: Shape) -> Configuration:
    """Every layer of the model computed by the shape's kernel."""
    bits = () if shape.kernel == "fp32" else tuple((layer.path, _CODE_BITS) for layer in model.inventory().layers)
    return Configuration(bits=bits, scheme=Scheme(kernel=shape.kernel))


def make_random(model: "Model", shape: Shape, seed: int) -> "Model":
    """The model in another shape: weights drawn, tokens and the features' normalization as they are. Equal seeds give equal weights."""
    import torch

    from paredown.models.network import build_network

    config = reshape_config(model.config, shape)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = build_network(config)
    if model.network.normalize is not None:
        network.normalize.load_state_dict(model.network.normalize.state_dict())
    return replace(model, config=config, network=network.eval(), digest=f"random weights of {shape.name}, seed {seed}")


def write_random(model: "Model", shape: Shape, seed: int, folder: Path, name: str | None = None) -> Path:
    """The bundle of a random model of that shape, in a new folder of `folder`, called `name` or by the shape."""
    from paredown.bundle import write_bundle
    from paredown.compress.network import compress_model

    with machine_share():
        made = make_random(model, shape, seed)
        return write_bundle(made, compress_model(made, configuration_of(made, shape)), folder / (name or shape.name))
