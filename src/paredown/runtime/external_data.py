"""Which tensors of an ONNX file lie outside of it, read from the protobuf's bytes: onnxruntime opens the files that such tensors name.

The runtime has no `onnx` package, and needs little of it: `_NESTED` lists the messages through which a model reaches its tensors (a test
compares it with the schema). Of a field of the wire format only the length-delimited ones can hold a message; the others are skipped.
"""

from collections.abc import Collection, Iterator, Mapping

PLACEHOLDER = "weights"  # the location that paredown's graphs give: no such file; the runtime supplies the tensor
_NESTED: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
_NAME, _EXTERNAL_DATA, _KEY, _VALUE = 8, 13, 1, 2  # fields of TensorProto and of StringStringEntryProto
_DEEPEST = 64  # messages inside one another; paredown's graphs have 3
_INITIALIZERS = ("ModelProto", "GraphProto", "TensorProto")


def check_external_data(model: bytes, supplied: Collection[str]) -> None:
    """Raises ValueError, naming tensor and file, if a tensor outside of the model is not one of those that the runtime supplies.

    Also where the bytes are no protobuf, or nest too deeply to be read.
    """
    for way, name, locations in _external_tensors(memoryview(model), ("ModelProto",)):
        if way != _INITIALIZERS or name not in supplied:
            raise ValueError(f"tensor {name!r} lies in the file {_shown(locations)}, where only paredown's own weights may be left out")
        if locations != [PLACEHOLDER]:
            raise ValueError(f"tensor {name!r} must have the location {PLACEHOLDER!r}, got {_shown(locations)}")


def _external_tensors(data: memoryview, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """The messages that lead to every external tensor, its name, and all locations that it gives."""
    if len(way) > _DEEPEST:
        raise ValueError(f"messages must nest at most {_DEEPEST} deep")
    if way[-1] == "TensorProto":
        name, entries = "", []
        for number, value in _fields(data):
            if number == _NAME:
                name = _text(value)
            elif number == _EXTERNAL_DATA:
                entries.append({key: _text(part) for key, part in _fields(value)})
        if entries:
            yield way, name, [entry.get(_VALUE, "") for entry in entries if entry.get(_KEY) == "location"]
        return
    nested = _NESTED[way[-1]]
    for number, value in _fields(data):
        if number in nested:
            yield from _external_tensors(value, (*way, nested[number]))


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of every length-delimited field of a message."""
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        if tag >= 2**32:  # other readers would drop the upper bits and see another field
            raise ValueError(f"a field's tag must have 32 bits, got {tag}")
        kind = tag & 7
        if kind == 0:
            _, place = _read_varint(data, place)
        elif kind == 2:
            length, place = _read_varint(data, place)
            if length > len(data) - place:
                raise ValueError("a field reaches beyond its message")
            yield tag >> 3, data[place : place + length]
            place += length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no ONNX field has the wire type {kind}")


def _read_varint(data: memoryview, place: int) -> tuple[int, int]:
    """A whole number and the place behind it."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("a number does not end")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", errors="replace")


def _shown(locations: list[str]) -> str:
    return " and ".join(repr(location) for location in locations) or "without a name"
