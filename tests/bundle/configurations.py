"""Random configurations of a model: every setting that a bundle's bytes depend on takes part."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from paredown.models import Model
from paredown.models.groups import group_parameters
from paredown.space.axes.layers import is_kept
from paredown.space.configuration import BLOCKS, HALF_BITS, TRANSFORMATIONS, Configuration, Decode, Input, Kernel, Scheme
from paredown.space.inventory import Inventory

KERNELS: Sequence[Kernel] = ("fp32", "int8", "nbits", "fp16")
INPUTS = (Input(), Input(), Input(190), Input(None, 8_000, "matched"), Input(200, 8_000, "naive"))
SCHEDULES = (
    TRANSFORMATIONS,
    ("drop", "factorize", "narrow", "prune", "quantize"),
    ("factorize", "narrow", "drop", "prune", "quantize"),
    ("narrow", "factorize", "drop", "prune", "quantize"),
)
EDGES = (0.0, 1e-9, 0.05, 0.5, 0.95, 0.999999)


def draw_configurations(model: Model, count: int, seed: int = 0) -> Iterator[Configuration]:
    """Configurations of a model, the same for the same seed."""
    rng, inventory, groups = np.random.default_rng(seed), model.inventory(), prunable_groups(model)
    for _ in range(count):
        yield random_configuration(rng, inventory, groups, ctc=model.network.output_ctc is not None)


def draw_structured(model: Model, count: int, seed: int = 0) -> Iterator[Configuration]:
    """The same with widths, heads, ranks, 16 bits and another order of the schedule."""
    rng, inventory = np.random.default_rng(seed), model.inventory()
    for configuration in draw_configurations(model, count, seed):
        yield random_structure(rng, inventory, configuration)


def random_structure(rng: np.random.Generator, inventory: Inventory, configuration: Configuration) -> Configuration:
    """A configuration with parts of random shapes, each kind of part in about two of three."""
    shares = [rng.choice([0.0, 0.3, 0.8, 1.0], p=[0.3, 0.2, 0.2, 0.3]) for _ in range(4)]
    kept = [path for path in inventory.feed_forwards if is_kept(path, configuration)]
    width = {path: int(rng.integers(1, inventory.feed_forwards[path] + 1)) for path in kept if rng.random() < shares[0]}
    heads = {path: _some(rng, most) for path, most in inventory.heads if is_kept(path, configuration) and rng.random() < shares[1]}
    rank = {}
    for path in kept:
        most = min(width.get(path, inventory.feed_forwards[path]), inventory.by_path[f"{path}.w_1"].shape[1])
        rank |= {f"{path}.{layer}": int(rng.integers(1, most + 1)) for layer in ("w_1", "w_2") if rng.random() < shares[2]}
    halves = {path for path, _ in configuration.bits if rng.random() < 0.3 * shares[3]}
    return replace(
        configuration,
        width=tuple(width.items()),
        heads=tuple(heads.items()),
        rank=tuple(rank.items()),
        bits=tuple((path, HALF_BITS if path in halves else bits) for path, bits in configuration.bits),
        kernels=tuple((path, kernel) for path, kernel in configuration.kernels if path not in halves or kernel in ("fp32", "fp16")),
        schedule=SCHEDULES[rng.integers(len(SCHEDULES))],
    )


def prunable_groups(model: Model) -> list[str]:
    """Those that sparsity may name."""
    return [group for group, names in group_parameters(model.network).items() if any(name.endswith(".weight") for name in names)]


def random_configuration(rng: np.random.Generator, inventory: Inventory, groups: Sequence[str], *, ctc: bool = False) -> Configuration:
    """`groups`: those that sparsity may name; `ctc`: whether the model can decode with one."""
    keep = tuple((stack, _some(rng, blocks)) for stack, blocks in inventory.blocks if rng.random() < 0.7)
    absent, wild = rng.choice([0.0, 0.1, 0.6]), rng.choice([0.0, 0.1, 0.5])
    layers = [layer.path for layer in inventory.layers if is_kept(layer.path, Configuration(keep=keep)) and rng.random() >= absent]
    uniform = rng.random() < 0.2
    width = int(rng.integers(2, 9))
    return Configuration(
        keep=keep,
        bits=tuple((path, width if uniform else int(rng.integers(2, 9))) for path in layers),
        sparsity=tuple((group, _share(rng)) for group in groups if rng.random() < 0.4),
        scheme=Scheme(
            granularity="tensor" if rng.random() < 0.3 else "channel",
            kernel=KERNELS[rng.integers(len(KERNELS))],
            block=int(rng.choice(BLOCKS)),
        ),
        decode=Decode(int(rng.integers(1, 20)), round(float(rng.normal()), int(rng.integers(0, 9))), float(rng.random()) if ctc else 0.0),
        input=INPUTS[rng.integers(len(INPUTS))],
        kernels=tuple((path, KERNELS[rng.integers(len(KERNELS))]) for path in layers if rng.random() < wild),
    )


def _some(rng: np.random.Generator, blocks: int) -> tuple[int, ...]:
    count = int(rng.integers(1, blocks + 1))
    return tuple(sorted(rng.choice(blocks, count, replace=False).tolist()))


def _share(rng: np.random.Generator) -> float:
    kind = rng.integers(3)
    if kind == 0:
        return float(rng.choice(EDGES))
    return round(float(rng.integers(0, 20)) * 0.05, 2) if kind == 1 else float(rng.random())
