"""The files of a bundle: what `manifest.json` says of them, and the check that they are what it says.

```
bundle/
  manifest.json   schema, model, configuration, checksums, tensors, graphs   (this file reads it)
  weights.bin     every tensor, one record after another                     (paredown.runtime.weights)
  encoder.onnx    graphs without weights: the runtime supplies every initializer
  decoder.onnx
  tokens.txt      one token a line, line number = id
  frontend.json   what turns a waveform into features
```
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, Self, get_args

from paredown.errors import BadInput

SCHEMA = 1
MANIFEST, WEIGHTS, TOKENS, FRONTEND = "manifest.json", "weights.bin", "tokens.txt", "frontend.json"
Kind = Literal["raw", "dense", "sparse"]
Form = Literal["float", "float_transposed", "codes", "codes_transposed", "scales", "scales_column"]
TokenType = Literal["bpe", "char", "word"]


@dataclass(frozen=True)
class TensorRecord:
    """Where one tensor lies in `weights.bin` and how it is stored; `paredown.bundle.pack` draws the layout.

    `offset` and `nbytes` are those of the float32 numbers (raw) or of the planes (dense, sparse); the scales of a quantized
    tensor, float32 [channels], begin at `scales_offset`. `survivors` counts the weights that a sparse tensor keeps.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    bits: int = 0
    scales_offset: int = 0
    channels: int = 0
    survivors: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a tensor's kind must be raw, dense or sparse, got {self.kind!r} for {self.name}")
        if self.kind != "raw" and not 2 <= self.bits <= 8:
            raise ValueError(f"bit-width must lie in [2, 8], got {self.bits} for {self.name}")
        row = -(-self.size // 8)
        nbytes = {"raw": 4 * self.size, "dense": self.bits * row, "sparse": row + self.bits * -(-self.survivors // 8)}[self.kind]
        if self.nbytes != nbytes:
            raise ValueError(f"tensor {self.name} of {self.size} weights must have {nbytes} bytes, got {self.nbytes}")

    @property
    def size(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    @property
    def end(self) -> int:
        """The first byte of `weights.bin` behind everything this record points at."""
        return max(self.offset + self.nbytes, self.scales_offset + 4 * self.channels)

    def to_json(self) -> dict[str, Any]:
        """The record as the manifest holds it: only the keys that its kind has."""
        value: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "offset": self.offset,
            "nbytes": self.nbytes,
        }
        if self.kind != "raw":
            value |= {"bits": self.bits, "scales_offset": self.scales_offset, "channels": self.channels}
        if self.kind == "sparse":
            value["survivors"] = self.survivors
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{**value, "shape": tuple(value["shape"])})


@dataclass(frozen=True)
class Initializer:
    """One weight that a graph wants: made from the named tensors, joined along axis 0, in the given form (and shape, where given).

    `factors`: one a tensor, or none; the weights (or scales) of a tensor are multiplied by its factor.
    """

    name: str
    form: Form
    tensors: tuple[str, ...]
    factors: tuple[float, ...] = ()
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"an initializer's form must be one of {', '.join(get_args(Form))}, got {self.form!r}")
        if not self.tensors or len(self.factors) not in (0, len(self.tensors)):
            raise ValueError(f"an initializer has tensors, and factors for none or for all, got {self.tensors}, {self.factors}")
        if self.factors and self.form.startswith("codes"):
            raise ValueError(f"codes take no factors (their scales do), got {self.factors} for {self.name}")

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"name": self.name, "form": self.form, "tensors": list(self.tensors)}
        if self.factors:
            value["factors"] = list(self.factors)
        if self.shape is not None:
            value["shape"] = list(self.shape)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        shape = value.get("shape")
        factors = tuple(float(factor) for factor in value.get("factors", ()))
        return cls(value["name"], value["form"], tuple(value["tensors"]), factors, None if shape is None else tuple(shape))


@dataclass(frozen=True)
class GraphRecord:
    """One ONNX graph and the initializers that it is given."""

    file: str
    initializers: tuple[Initializer, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(value["file"], tuple(Initializer.from_json(entry) for entry in value["initializers"]))


@dataclass(frozen=True)
class FileRecord:
    """Size and SHA-256 (hex) of one file of the bundle."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the runtime needs of `manifest.json`. `least_frames`: the fewest feature frames that the encoder's subsampling takes."""

    task: str
    token_type: TokenType
    sos: int
    eos: int
    least_frames: int
    beam_size: int
    length_bonus: float
    files: tuple[FileRecord, ...]
    tensors: tuple[TensorRecord, ...]
    encoder: GraphRecord
    decoder: GraphRecord

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The manifest from its JSON object; KeyError, TypeError or ValueError where it is none."""
        model, decode, graphs = value["model"], value["configuration"]["decode"], value["graphs"]
        if model["token_type"] not in get_args(TokenType):
            raise ValueError(f"token_type must be one of {', '.join(get_args(TokenType))}, got {model['token_type']!r}")
        return cls(
            task=model["task"],
            token_type=model["token_type"],
            sos=int(model["sos"]),
            eos=int(model["eos"]),
            least_frames=int(model["subsampling_least_frames"]),
            beam_size=int(decode["beam_size"]),
            length_bonus=float(decode.get("length_bonus", 0.0)),
            files=tuple(FileRecord(name, entry["bytes"], entry["sha256"]) for name, entry in value["files"].items()),
            tensors=tuple(TensorRecord.from_json(entry) for entry in value["tensors"]),
            encoder=GraphRecord.from_json(graphs["encoder"]),
            decoder=GraphRecord.from_json(graphs["decoder"]),
        )


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle.

    Raises BadInput if the folder is no bundle, if its schema is newer than `SCHEMA`, if keys are missing, if a file it needs is
    not listed or lies outside the folder, or if a tensor reaches beyond `weights.bin`.
    """
    path = bundle / MANIFEST
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"a bundle is a folder with a readable {MANIFEST}, got {bundle} ({error.strerror})") from error
    except ValueError as error:
        raise BadInput(f"{path} must be JSON, got {error}") from error
    _check_schema(path, value)
    try:
        manifest = Manifest.from_json(value)
        _check_listed(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"{path} must describe a bundle of schema {SCHEMA}, got: {reason}") from error
    return manifest


def _check_schema(path: Path, value: Any) -> None:
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise BadInput(f"{path} must be a bundle's manifest with a schema number, got schema {schema!r}")
    if schema > SCHEMA:
        versions = value.get("versions")
        writer = versions.get("paredown") if isinstance(versions, dict) else None
        needed = f"paredown {writer} or newer" if writer else "a newer paredown"
        raise BadInput(f"{path} must have schema {SCHEMA} or older to be read here, got schema {schema}: it needs {needed}")


def _check_listed(manifest: Manifest) -> None:
    sizes = {record.name: record.size_bytes for record in manifest.files}
    for name in sizes:
        if Path(name).name != name:
            raise ValueError(f"a file of a bundle lies in its folder, not at {name!r}")
    for name in (WEIGHTS, TOKENS, FRONTEND, manifest.encoder.file, manifest.decoder.file):
        if name not in sizes:
            raise ValueError(f"files must list {name}")
    known = {record.name for record in manifest.tensors}
    for record in manifest.tensors:
        if record.end > sizes[WEIGHTS] or min(record.offset, record.scales_offset) < 0:
            raise ValueError(f"tensor {record.name} reaches beyond the {sizes[WEIGHTS]} bytes of {WEIGHTS}")
    for initializer in (*manifest.encoder.initializers, *manifest.decoder.initializers):
        for name in initializer.tensors:
            if name not in known:
                raise ValueError(f"initializer {initializer.name} needs tensor {name}, which is not listed")


def check_files(bundle: Path, manifest: Manifest) -> None:
    """Compare size and SHA-256 of every file with the manifest; raises BadInput, naming the first file that differs."""
    for record in manifest.files:
        path = bundle / record.name
        try:
            size_bytes = path.stat().st_size
            if size_bytes != record.size_bytes:
                raise BadInput(f"{path} must have the {record.size_bytes} bytes its manifest says, got {size_bytes}")
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadInput(f"a bundle's files must be readable, got {path} ({error.strerror})") from error
        if sha256 != record.sha256:
            raise BadInput(
                f"{path} must have the SHA-256 its manifest says ({record.sha256[:12]}…), got {sha256[:12]}…: the file was changed"
            )
