"""The files of a bundle: what `manifest.json` says of them, and the check that they are what it says.

```
bundle/
  manifest.json   schema, model, configuration, checksums, tensors, graphs   (this file reads it)
  weights.bin     every tensor, one record after another                     (paredown.runtime.weights)
  encoder.onnx    graphs without weights: the runtime supplies every initializer
  decoder.onnx
  ctc.onnx        only where the model has a CTC over its output
  tokens.txt      one token a line, line number = id
  frontend.json   what turns a waveform into features
```
A changed byte is seen: the manifest holds the digest of itself (paredown.runtime.seal) and those of the other files. Only
`measurements.json`, figures about the bundle, and files that nobody put there are not covered; nothing reads them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, Self, get_args

from paredown.errors import BadInput
from paredown.runtime.audio_limits import MemoryNeed
from paredown.runtime.file_check import FileRecord, check_graph, check_inside, check_records, find_strangers
from paredown.runtime.numbers import is_whole
from paredown.runtime.seal import check_seal

SCHEMA = 2
MANIFEST, WEIGHTS, TOKENS, FRONTEND = "manifest.json", "weights.bin", "tokens.txt", "frontend.json"
MEASUREMENTS = "measurements.json"
Kind = Literal["raw", "half", "dense", "sparse"]
FLOATS: tuple[Kind, ...] = ("raw", "half")  # tensors stored as numbers: float32, float16
Form = Literal[
    "float",  # float32 [out, in]
    "float_transposed",  # float32 [in, out]
    "half",  # float16 [out, in]
    "half_transposed",
    "codes",  # int8 [out, in]
    "codes_transposed",
    "scales",  # float32 [out]
    "scales_column",  # float32 [out, 1]
    "nbits4",  # uint8 [out, blocks, bytes of a block]: codes as MatMulNBits takes them, lowest bits first
    "nbits8",
    "block_scales",  # float32 [out, blocks]
    "range_steps",  # float32 [n], of ranges of activations [n, 2]: a scale for each (paredown.runtime.ranges)
    "range_zeros",  # uint8 [n], and a zero point
    "rounding",  # bool, of no tensor: whether MatMulNBits rounds its activations to int8; the session sets it
]
ROUNDING = "round_activations"  # the name of that one
TokenType = Literal["bpe", "char", "word"]


@dataclass(frozen=True)
class TensorRecord:
    """Where one tensor lies in `weights.bin` and how it is stored; `paredown.bundle.pack` draws the layout.

    `offset` and `nbytes` are those of the numbers (raw: float32, half: float16) or of the planes (dense, sparse); the scales of a quantized
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
            raise ValueError(f"a tensor's kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r} for {self.name}")
        if self.kind not in FLOATS and not 2 <= self.bits <= 8:
            raise ValueError(f"bit-width must lie in [2, 8], got {self.bits} for {self.name}")
        counts = (*self.shape, self.offset, self.nbytes, self.bits, self.scales_offset, self.channels, self.survivors)
        if not all(is_whole(count) for count in counts):
            raise ValueError(f"a tensor's shape, offsets and counts must be whole numbers, got {counts} for {self.name}")
        row = -(-self.size // 8)
        floats = {"raw": 4 * self.size, "half": 2 * self.size}
        nbytes = (floats | {"dense": self.bits * row, "sparse": row + self.bits * -(-self.survivors // 8)})[self.kind]
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
        if self.kind not in FLOATS:
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
        if bool(self.tensors) == (self.form == "rounding") or len(self.factors) not in (0, len(self.tensors)):
            raise ValueError(f"an initializer has tensors, and factors for none or for all, got {self.tensors}, {self.factors}")
        if self.factors and self.form.startswith(("codes", "nbits")):
            raise ValueError(f"codes take no factors (their scales do), got {self.factors} for {self.name}")
        blocked = {"nbits4": 3, "nbits8": 3, "block_scales": 2}.get(self.form)
        if blocked is not None and (self.shape is None or len(self.shape) != blocked):
            raise ValueError(f"an initializer of form {self.form} has a shape of {blocked} dimensions, got {self.shape} for {self.name}")

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
class Manifest:
    """What the runtime needs of `manifest.json`.

    `least_frames`: the fewest feature frames that the encoder's subsampling takes. `kernels`: those that compute one layer or more.
    """

    task: str
    token_type: TokenType
    sos: int
    eos: int
    least_frames: int
    beam_size: int
    length_bonus: float
    memory: MemoryNeed
    files: tuple[FileRecord, ...]
    tensors: tuple[TensorRecord, ...]
    encoder: GraphRecord
    decoder: GraphRecord
    ctc: GraphRecord | None = None
    ctc_weight: float = 0.0
    kernels: frozenset[str] = frozenset()

    @property
    def graphs(self) -> tuple[GraphRecord, ...]:
        """Every graph of the bundle."""
        return (self.encoder, self.decoder) if self.ctc is None else (self.encoder, self.decoder, self.ctc)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The manifest from its JSON object; KeyError, TypeError or ValueError where it is none."""
        model, decode, graphs = value["model"], value["configuration"]["decode"], value["graphs"]
        if model["token_type"] not in get_args(TokenType):
            raise ValueError(f"token_type must be one of {', '.join(get_args(TokenType))}, got {model['token_type']!r}")
        return cls(
            task=model["task"],
            token_type=model["token_type"],
            sos=_whole(model, "sos", 0),
            eos=_whole(model, "eos", 0),
            least_frames=_whole(model, "subsampling_least_frames", 1),
            beam_size=_whole(decode, "beam_size", 1),
            length_bonus=float(decode.get("length_bonus", 0.0)),
            memory=MemoryNeed.from_json(value["memory"]),
            files=tuple(FileRecord.from_json(name, entry) for name, entry in value["files"].items()),
            tensors=tuple(TensorRecord.from_json(entry) for entry in value["tensors"]),
            encoder=GraphRecord.from_json(graphs["encoder"]),
            decoder=GraphRecord.from_json(graphs["decoder"]),
            ctc=GraphRecord.from_json(graphs["ctc"]) if "ctc" in graphs else None,
            ctc_weight=float(decode.get("ctc_weight", 0.0)),
            kernels=frozenset(layer["kernel"] for layer in value["layers"].values()),
        )


def _whole(value: Mapping[str, Any], key: str, least: int) -> int:
    """A count or an id of the manifest."""
    number = value[key]
    if not is_whole(number) or not least <= number < 2**31:
        raise ValueError(f"{key} must be a whole number of at least {least}, got {number!r}")
    return int(number)


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle.

    Raises BadInput if the folder is no bundle, if its schema is another than `SCHEMA`, if the manifest was changed, if keys are missing,
    if a file it needs is not listed or lies outside the folder, or if a tensor reaches beyond `weights.bin`.
    """
    path = bundle / MANIFEST
    problem = check_inside(bundle, MANIFEST)
    if problem:
        raise BadInput(f"a bundle is a folder with a readable {MANIFEST}, got {bundle}: {problem}")
    try:
        text = path.read_bytes().decode("utf-8")
        value = json.loads(text)
    except OSError as error:
        raise BadInput(f"a bundle is a folder with a readable {MANIFEST}, got {bundle} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} must be JSON, got {error}") from error
    _check_schema(path, value)
    try:
        check_seal(value, text)
        manifest = Manifest.from_json(value)
        _check_listed(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join((f"no key {error}" if isinstance(error, KeyError) else str(error)).split())  # names may hold line ends
        raise BadInput(f"{path} must describe a bundle of schema {SCHEMA}, got: {reason}") from error
    return manifest


def recognize_bundle(folder: Path) -> None:
    """Raises BadInput unless a bundle lies in the folder, and nothing else: of any schema, and though its files were damaged."""
    try:
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"a bundle is a folder with a readable {MANIFEST}, got {folder}") from error
    if not isinstance(value, dict) or not {"schema", "model", "files", "graphs", "tensors"} <= set(value):
        raise BadInput(f"a bundle's {MANIFEST} lists its files, graphs and tensors, got another in {folder}")
    strangers = find_strangers(folder, {MANIFEST, MEASUREMENTS, *(value["files"] if isinstance(value["files"], dict) else ())})
    if strangers:
        raise BadInput(f"it also holds {', '.join(strangers)}")


def _check_schema(path: Path, value: Any) -> None:
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise BadInput(f"{path} must be a bundle's manifest with a schema number, got schema {schema!r}")
    if schema != SCHEMA:
        versions = value.get("versions")
        writer = versions.get("paredown") if isinstance(versions, dict) else None
        newer = f"it needs paredown {writer} or newer" if writer else "it needs a newer paredown"
        mend = newer if schema > SCHEMA else "write the bundle again with this paredown"
        raise BadInput(f"{path} must have schema {SCHEMA} to be read here, got schema {schema}: {mend}")


def _check_listed(manifest: Manifest) -> None:
    sizes = {record.name: record.size_bytes for record in manifest.files}
    for name in (WEIGHTS, TOKENS, FRONTEND, *(graph.file for graph in manifest.graphs)):
        if name not in sizes:
            raise ValueError(f"files must list {name}")
    for graph in manifest.graphs:
        if not graph.file.endswith(".onnx"):
            raise ValueError(f"a graph's file must end in .onnx, got {graph.file!r}")
    known = {record.name for record in manifest.tensors}
    for record in manifest.tensors:
        if record.end > sizes[WEIGHTS] or min(record.offset, record.scales_offset) < 0:
            raise ValueError(f"tensor {record.name} reaches beyond the {sizes[WEIGHTS]} bytes of {WEIGHTS}")
    for graph in manifest.graphs:
        for initializer in graph.initializers:
            for name in initializer.tensors:
                if name not in known:
                    raise ValueError(f"initializer {initializer.name} needs tensor {name}, which is not listed")


def check_files(bundle: Path, manifest: Manifest) -> None:
    """Raises BadInput unless every file is in the folder with the size and SHA-256 that the manifest says: one line, file by file.

    And if a graph would make onnxruntime open a file of its own choice.
    """
    check_records(bundle, manifest.files)
    for graph in manifest.graphs:
        check_graph(bundle / graph.file, {initializer.name for initializer in graph.initializers})
