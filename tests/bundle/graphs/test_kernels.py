"""The kernel of a layer, and that the installed onnxruntime has the kernels that are counted on."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from paredown.bundle.graphs.kernels import NBITS_WIDTHS, choose_kernels, nbits_width
from paredown.space.configuration import Configuration, Kernel, Scheme
from paredown.space.inventory import Inventory, LayerInfo

LINEAR, POINTWISE, DEPTHWISE = "decoder.output_layer", "encoder.encoders.0.conv_module.pointwise_conv1", "encoder.depthwise"
FIRST, SECOND, EMBEDDING = "encoder.embed.conv.0", "encoder.embed.conv.2", "decoder.embed.0"
INVENTORY = Inventory(
    layers=(
        LayerInfo(FIRST, "encoder.subsampling", (8, 1, 3, 3), "conv"),
        LayerInfo(SECOND, "encoder.subsampling", (8, 8, 3, 3), "conv"),
        LayerInfo(POINTWISE, "encoder.conv", (16, 8, 1), "conv"),
        LayerInfo(DEPTHWISE, "encoder.conv", (8, 1, 5), "conv"),
        LayerInfo(EMBEDDING, "decoder.embed", (20, 8), "embedding"),
        LayerInfo(LINEAR, "decoder.output", (20, 8), "linear"),
    ),
    vectors=(),
    blocks=(("encoder", 1), ("decoder", 1)),
)
ALL = tuple((layer.path, 4) for layer in INVENTORY.layers)


def kernels_of(kernel: Kernel, bits: tuple[tuple[str, int], ...] = ALL, **exceptions: Kernel) -> dict[str, Kernel]:
    names = {"linear": LINEAR, "pointwise": POINTWISE, "depthwise": DEPTHWISE, "second": SECOND}
    configuration = Configuration(
        bits=bits, scheme=Scheme(kernel=kernel), kernels=tuple((names[name], value) for name, value in exceptions.items())
    )
    return choose_kernels(INVENTORY, configuration)


@pytest.mark.parametrize(
    ("kernel", "taken"),
    [
        ("fp32", set()),
        ("int8", {SECOND, POINTWISE, EMBEDDING, LINEAR}),
        ("nbits", {POINTWISE, EMBEDDING, LINEAR}),
        ("fp16", {layer.path for layer in INVENTORY.layers} - {LINEAR}),  # logits are exact
    ],
)
def test_a_kernel_computes_what_it_can_take_and_fp32_the_rest(kernel: Kernel, taken: set[str]) -> None:
    chosen = kernels_of(kernel)
    assert {path for path, name in chosen.items() if name == kernel} == (taken or set(chosen))
    assert {name for path, name in chosen.items() if path not in taken} <= {"fp32"}


def test_layers_without_bits_compute_as_the_graph_does() -> None:
    for kernel, rest in (("int8", "fp32"), ("nbits", "fp32"), ("fp16", "fp16")):
        chosen = kernels_of(kernel, ((EMBEDDING, 8),))
        assert chosen.pop(EMBEDDING) == kernel
        assert chosen.pop(LINEAR) == "fp32"
        assert set(chosen.values()) == {rest}


def test_exceptions_hold_where_the_layer_can_take_them() -> None:
    chosen = kernels_of("int8", linear="nbits", pointwise="fp32", second="nbits", depthwise="fp16")
    assert [chosen[path] for path in (LINEAR, POINTWISE, SECOND, DEPTHWISE, EMBEDDING)] == ["nbits", "fp32", "fp32", "fp16", "int8"]
    assert kernels_of("fp16", linear="int8", depthwise="int8")[LINEAR] == "int8"
    assert kernels_of("fp16", linear="fp16")[LINEAR] == "fp16"
    assert kernels_of("fp16", linear="int8", depthwise="int8")[DEPTHWISE] == "fp16"


def test_codes_go_to_the_next_width_of_the_operator() -> None:
    assert [nbits_width(bits) for bits in range(2, 9)] == [4, 4, 4, 8, 8, 8, 8]


@pytest.mark.parametrize("bits", NBITS_WIDTHS)
@pytest.mark.parametrize("block", [16, 32, 128])
def test_onnxruntime_has_the_kernels_that_quantize_activations(bits: int, block: int) -> None:
    """The others take 10 to 50 times as long. They keep activations in float32, so that a small one beside a large one is not lost."""
    x = np.zeros((1, block), np.float32)
    x[0, :2] = 1.0, 1e-4  # 1e-4 is below half a step of 1/127
    weight = np.zeros((1, 1, block * bits // 8), np.uint8)
    codes = np.full(block, 1 << (bits - 1))
    codes[:2] += 0, 1  # the large activation times 0, the small one times 1
    weight[0, 0] = np.packbits(((codes[:, None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(-1), bitorder="little")
    got = {}
    for level in (0, 4):
        node = helper.make_node(
            "MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=block, N=1, bits=bits, block_size=block, accuracy_level=level
        )
        inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None]) for name in "xy")
        weights = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.ones((1, 1), np.float32), "s")]
        graph = helper.make_graph([node], "product", [inputs], [outputs], weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)], ir_version=10
        )
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        got[level] = float(session.run(None, {"x": x})[0][0, 0])
    assert got == {0: pytest.approx(1e-4, rel=1e-5), 4: 0.0}
