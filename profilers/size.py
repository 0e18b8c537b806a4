"""Bytes of a bundle, and how many times smaller than the uncompressed model it is, counted in three ways that are never mixed."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement

NOT_COUNTED = "measurements.json"  # figures about the bundle; nothing needs them to run


@dataclass(frozen=True)
class BundleSize:
    """Bytes on disk of everything the bundle needs; `files`: (path inside the bundle, bytes), sorted by path."""

    files: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.files)

    def to_measurement(self) -> Measurement:
        """Exact: one look, no spread."""
        return Measurement(float(self.size_bytes), "bytes", ci95=None, samples=1, detail=self.files)


@dataclass(frozen=True)
class Ratios:
    """Times smaller than the uncompressed model at 4 bytes a parameter; higher is smaller.

    `nominal_bits`: bit-widths alone, of the weights that survive; no scales, no masks (how papers count).
    `weight_bytes`: bytes of the weight file: scales, masks and everything kept wide included.
    `bundle_bytes`: bytes of the whole bundle: graphs, tokens and manifest too.
    """

    nominal_bits: float
    weight_bytes: float
    bundle_bytes: float


def measure_size(bundle: Path) -> BundleSize:
    """Every file of a bundle folder but `measurements.json`; raises BadInput where there is no folder or no file."""
    if not bundle.is_dir():
        raise BadInput(f"a bundle is a folder, got {bundle}")
    found = ((path.relative_to(bundle).as_posix(), path.stat().st_size) for path in bundle.rglob("*") if path.is_file())
    files = tuple(sorted(entry for entry in found if entry[0] != NOT_COUNTED))
    if not files:
        raise BadInput(f"a bundle holds files, got the empty folder {bundle}")
    return BundleSize(files)


def measure_ratios(bundle: Path, original_parameters: int) -> Ratios:
    """The three ratios of a bundle, from its manifest (`tensors`, as bundle/pack.py records them) and its files.

    `original_parameters`: parameters inference needs in the uncompressed model.
    Raises BadInput where the manifest is missing or not readable as one, ValueError on fewer than one parameter.
    """
    if original_parameters < 1:
        raise ValueError(f"a model has at least 1 parameter, got {original_parameters}")
    manifest_path = bundle / "manifest.json"
    size = measure_size(bundle)
    try:
        tensors = json.loads(manifest_path.read_text(encoding="utf-8"))["tensors"]
        nominal_bits = sum(_nominal_bits(tensor) for tensor in tensors)
        weight_bytes = dict(size.files)["weights.bin"]
    except FileNotFoundError:
        raise BadInput(f"a bundle has a manifest.json, none in {bundle}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{manifest_path} must list the tensors of weights.bin: {type(error).__name__} at {error}") from None
    return Ratios(
        nominal_bits=original_parameters * 32 / nominal_bits,
        weight_bytes=original_parameters * 4 / weight_bytes,
        bundle_bytes=original_parameters * 4 / size.size_bytes,
    )


def _nominal_bits(tensor: dict[str, Any]) -> int:
    weights = prod(int(length) for length in tensor["shape"])
    kind = tensor["kind"]
    if kind in ("raw", "half"):
        return (32 if kind == "raw" else 16) * weights
    if kind not in ("dense", "sparse"):
        raise ValueError(f"a tensor is raw, half, dense or sparse, got {kind!r}")
    return int(tensor["bits"]) * int(tensor["survivors"] if kind == "sparse" else weights)
