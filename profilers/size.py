"""Bytes of a bundle by file and by kind, and how many times smaller than the uncompressed model it is, in three ways that are never mixed.

Files and records come from a bundle on disk or from a forecast of one (`paredown.bundle.forecast`); either way the figures are worked out
here.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Self, TypeVar

from paredown.errors import BadInput
from paredown.profilers.measurement import Measurement

NOT_COUNTED = "measurements.json"  # figures about the bundle; nothing needs them to run
WEIGHT_FILE, MANIFEST_FILE = "weights.bin", "manifest.json"
TEXT_FILES = ("tokens.txt", "frontend.json")
KINDS = ("weights", "graphs", "texts", "manifest", "other")

Found = TypeVar("Found")


@dataclass(frozen=True)
class BundleSize:
    """Bytes on disk of everything the bundle needs; `files`: (path inside the bundle, bytes), sorted by path."""

    files: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.files)

    @property
    def kinds(self) -> dict[str, int]:
        """Bytes of every kind of file in `KINDS`; texts are the tokens and the settings of the frontend, other what no bundle needs."""
        found = dict.fromkeys(KINDS, 0)
        for name, size in self.files:
            found[_kind(name)] += size
        return found

    def to_measurement(self) -> Measurement:
        """Exact: one look, no spread."""
        return Measurement(float(self.size_bytes), "bytes", ci95=None, samples=1, detail=self.files)


@dataclass(frozen=True)
class WeightBytes:
    """Bytes of `weights.bin` by what they hold: planes of codes, masks of sparse layers, scales, numbers in float32 and in float16."""

    codes_bytes: int = 0
    masks_bytes: int = 0
    scales_bytes: int = 0
    fp32_bytes: int = 0
    fp16_bytes: int = 0

    @classmethod
    def of(cls, tensors: Iterable[Mapping[str, Any]]) -> Self:
        """From the records of the tensors, as the manifest holds them. KeyError, TypeError or ValueError where they are none."""
        found = dict.fromkeys(("codes_bytes", "masks_bytes", "scales_bytes", "fp32_bytes", "fp16_bytes"), 0)
        for tensor in tensors:
            kind, nbytes = tensor["kind"], int(tensor["nbytes"])
            if kind in ("raw", "half"):
                found["fp32_bytes" if kind == "raw" else "fp16_bytes"] += nbytes
                continue
            mask = -(-_weights(tensor) // 8) if kind == "sparse" else 0
            found["masks_bytes"] += mask
            found["codes_bytes"] += nbytes - mask
            found["scales_bytes"] += 4 * int(tensor["channels"])
        return cls(**found)


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

    @classmethod
    def of(cls, size: BundleSize, tensors: Iterable[Mapping[str, Any]], original_parameters: int) -> Self:
        """From files and records; KeyError, TypeError or ValueError where they are no bundle's."""
        if original_parameters < 1:
            raise ValueError(f"a model has at least 1 parameter, got {original_parameters}")
        return cls(
            nominal_bits=original_parameters * 32 / sum(_nominal_bits(tensor) for tensor in tensors),
            weight_bytes=original_parameters * 4 / dict(size.files)[WEIGHT_FILE],
            bundle_bytes=original_parameters * 4 / size.size_bytes,
        )


@dataclass(frozen=True)
class Breakdown:
    """All that is said of a bundle's size. `stored_parameters`: numbers in it, pruned ones included; `model_parameters`: uncompressed."""

    size: BundleSize
    weights: WeightBytes
    ratios: Ratios
    stored_parameters: int
    model_parameters: int

    @classmethod
    def of(cls, size: BundleSize, tensors: Iterable[Mapping[str, Any]], parameters: Mapping[str, Any]) -> Self:
        """From files and the manifest's tensors and parameters; KeyError, TypeError or ValueError where they are no bundle's."""
        tensors, stored, model = list(tensors), int(parameters["stored"]), int(parameters["model"])
        return cls(size, WeightBytes.of(tensors), Ratios.of(size, tensors, model), stored, model)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values under the stable keys `size_bytes` and `params`."""
        return {
            "size_bytes": self.size.size_bytes,
            "files": dict(self.size.files),
            "kinds": self.size.kinds,
            "weights": asdict(self.weights),
            "ratios": asdict(self.ratios),
            "params": {"stored": self.stored_parameters, "model": self.model_parameters},
        }


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
    return _read(bundle, lambda size, manifest: Ratios.of(size, manifest["tensors"], original_parameters))


def measure_breakdown(bundle: Path) -> Breakdown:
    """All that is said of a bundle's size, from its files and its manifest. Raises BadInput where the manifest is missing or none."""
    return _read(bundle, lambda size, manifest: Breakdown.of(size, manifest["tensors"], manifest["parameters"]))


def _read(bundle: Path, work_out: Callable[[BundleSize, Mapping[str, Any]], Found]) -> Found:
    """What `work_out` makes of a bundle's files and manifest."""
    path, size = bundle / MANIFEST_FILE, measure_size(bundle)
    try:
        return work_out(size, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(f"a bundle has a {MANIFEST_FILE}, none in {bundle}") from None
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadInput(f"{path} must list the tensors of {WEIGHT_FILE}: {type(error).__name__} at {error}") from None


def _kind(name: str) -> str:
    if name in TEXT_FILES:
        return "texts"
    if name.endswith(".onnx"):
        return "graphs"
    return {WEIGHT_FILE: "weights", MANIFEST_FILE: "manifest"}.get(name, "other")


def _weights(tensor: Mapping[str, Any]) -> int:
    return prod(int(length) for length in tensor["shape"])


def _nominal_bits(tensor: Mapping[str, Any]) -> int:
    weights, kind = _weights(tensor), tensor["kind"]
    if kind in ("raw", "half"):
        return (32 if kind == "raw" else 16) * weights
    if kind not in ("dense", "sparse"):
        raise ValueError(f"a tensor is raw, half, dense or sparse, got {kind!r}")
    return int(tensor["bits"]) * int(tensor["survivors"] if kind == "sparse" else weights)
