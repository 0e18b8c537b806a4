"""Tensors outside of an ONNX file, found in its bytes: against the `onnx` package and its schema."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from paredown.bundle.graphs.graph import GraphBuilder, WeightLayout
from paredown.runtime.external_data import _NESTED, check_external_data
from tests.runtime.toy_bundle import make_decoder, make_encoder


def external(name: str = "stolen", location: str = "weights") -> TensorProto:
    tensor = TensorProto(name=name, dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def model_of(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", [], [helper.make_tensor_value_info("y", 1, [2])], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def in_constant() -> onnx.ModelProto:
    return model_of(helper.make_node("Constant", [], ["y"], value=external()))


def in_sparse_constant() -> onnx.ModelProto:
    sparse = onnx.SparseTensorProto(values=external(), dims=[2])
    return model_of(helper.make_node("Constant", [], ["y"], sparse_value=sparse))


def in_branch() -> onnx.ModelProto:
    branch = helper.make_graph([], "b", [], [], [external()])
    return model_of(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=helper.make_graph([], "e", [], [])))


def in_function() -> onnx.ModelProto:
    model = model_of()
    function = helper.make_function("d", "f", [], ["y"], [helper.make_node("Constant", [], ["y"], value=external())], [])
    model.functions.append(function)
    return model


def in_sparse_initializer() -> onnx.ModelProto:
    model = model_of()
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=external(), dims=[2]))
    return model


def in_tensors() -> onnx.ModelProto:
    node = helper.make_node("Strange", [], ["y"])
    node.attribute.append(onnx.AttributeProto(name="t", type=onnx.AttributeProto.TENSORS, tensors=[external()]))
    return model_of(node)


def in_training() -> onnx.ModelProto:
    model = model_of()
    model.training_info.add().algorithm.initializer.append(external())
    return model


@pytest.mark.parametrize("make", [in_constant, in_sparse_constant, in_branch, in_function, in_sparse_initializer, in_tensors, in_training])
def test_an_external_tensor_is_found_wherever_it_lies(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"tensor 'stolen' lies in the file 'weights', where only paredown's own weights may be left out"):
        check_external_data(make().SerializeToString(), {"stolen"})  # supplied by name, but not an initializer of the graph


def test_only_supplied_initializers_at_the_placeholder_pass() -> None:
    data = model_of(initializers=(external("a"),)).SerializeToString()
    check_external_data(data, {"a", "b"})
    with pytest.raises(ValueError, match="tensor 'a' lies in the file 'weights'"):
        check_external_data(data, {"b"})
    elsewhere = model_of(initializers=(external("a", "../../etc/passwd"),)).SerializeToString()
    with pytest.raises(ValueError, match=r"'a' must have the location 'weights', got '../../etc/passwd'"):
        check_external_data(elsewhere, {"a"})
    twice = external("a")
    twice.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(ValueError, match="got 'weights' and '/etc/passwd'"):
        check_external_data(model_of(initializers=(twice,)).SerializeToString(), {"a"})


def test_the_graphs_of_paredown_pass() -> None:
    builder = GraphBuilder("g", WeightLayout({"a.weight": (2, 3)}))
    builder.output(builder.linear(builder.input("x", ["rows", 3]), "a"), "y", ["rows", 2])
    check_external_data(builder.build().serialize(), {"a.weight"})
    check_external_data(make_encoder().SerializeToString(), {"project"})
    check_external_data(make_decoder().SerializeToString(), {"codes", "scales", "output", "bias"})


def test_the_way_to_tensors_is_that_of_the_schema() -> None:
    """Every chain of message fields from a model to a tensor, as onnx's own descriptors have it."""
    fields: dict[str, dict[int, str]] = {}

    def visit(descriptor) -> bool:  # type: ignore[no-untyped-def]
        """Whether tensors can be reached from this message."""
        if descriptor.name == "TensorProto":
            return True
        if descriptor.name not in fields:
            fields[descriptor.name] = {}
            inner = [field for field in descriptor.fields if field.message_type is not None]
            for _ in range(2):  # graphs reach tensors through nodes, attributes and graphs
                fields[descriptor.name] = {field.number: field.message_type.name for field in inner if visit(field.message_type)}
        return bool(fields[descriptor.name])

    visit(onnx.ModelProto.DESCRIPTOR)
    reaching = {name: numbers for name, numbers in fields.items() if numbers}
    # A graph inside an attribute is visited while its own entry is still empty: compare with that one added.
    reaching["AttributeProto"] |= {6: "GraphProto", 11: "GraphProto"}
    assert reaching == {name: dict(numbers) for name, numbers in _NESTED.items()}
    descriptor = TensorProto.DESCRIPTOR.fields_by_name
    assert (descriptor["name"].number, descriptor["external_data"].number) == (8, 13)


def test_a_tag_whose_upper_bits_other_readers_drop_is_refused() -> None:
    graph = model_of(initializers=(external(location="/etc/passwd"),)).graph.SerializeToString()
    tag = (7 << 3 | 2) + (1 << 32)
    coded = bytes([tag & 0x7F | 0x80, tag >> 7 & 0x7F | 0x80, tag >> 14 & 0x7F | 0x80, tag >> 21 & 0x7F | 0x80, tag >> 28])
    length = len(graph)
    with pytest.raises(ValueError, match="tag must have 32 bits"):
        check_external_data(coded + bytes([length & 0x7F | 0x80, length >> 7]) + graph, set())


def test_messages_that_nest_without_end_are_refused() -> None:
    data = external().SerializeToString()
    for _ in range(100):  # a graph in an attribute of a node of a graph ...
        for number in (6, 5, 1):
            size, coded = len(data), b""
            while size > 0x7F:
                coded, size = coded + bytes([size & 0x7F | 0x80]), size >> 7
            data = bytes([number << 3 | 2]) + coded + bytes([size]) + data
    with pytest.raises(ValueError, match="nest at most"):
        check_external_data(b"\x3a" + _length(data) + data, set())


def _length(data: bytes) -> bytes:
    size, coded = len(data), b""
    while size > 0x7F:
        coded, size = coded + bytes([size & 0x7F | 0x80]), size >> 7
    return coded + bytes([size])


@settings(max_examples=200)
@given(data=st.binary(max_size=200), place=st.integers(0, 10**6), change=st.integers(0, 255))
def test_any_bytes_pass_or_are_refused(data: bytes, place: int, change: int) -> None:
    model = bytearray(make_encoder().SerializeToString())
    model[place % len(model)] = change
    for blob in (data, bytes(model)):
        with contextlib.suppress(ValueError):
            check_external_data(blob, {"project"})


def test_tensors_inside_of_the_model_are_no_matter() -> None:
    check_external_data(model_of(initializers=(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "a"),)).SerializeToString(), set())
