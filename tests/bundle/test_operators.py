"""The kernels that the manifest names are those that onnxruntime runs: the optimized graphs, layer by layer and as a histogram."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

torch = pytest.importorskip("torch")

from paredown.bundle.graphs.graph import GraphBuilder, WeightLayout  # noqa: E402
from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.space.configuration import Configuration, Granularity, Kernel, Scheme  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.bundle.optimized import BLOCKED_CONVOLUTION, PRODUCTS, Use, operators, optimized_graphs, uses_of_layers  # noqa: E402
from tests.bundle.parity.test_gate import STRUCTURES  # noqa: E402

KINDS = ("conformer", "legacy positions", "transformer", "e_branchformer", "concatenated")
INT8, UINT8, FLOAT = TensorProto.INT8, TensorProto.UINT8, TensorProto.FLOAT


def write(model: Model, kernel: Kernel, folder: Path, bits: int = 4, **settings: Any) -> Path:
    layers = model.inventory().layers if kernel != "fp32" or settings else ()
    configuration = Configuration(bits=tuple((layer.path, bits) for layer in layers), scheme=Scheme(kernel=kernel), **settings)
    return write_bundle(model, compress_model(model, configuration), folder / "bundle")


def expected_uses(model: Model, bundle: Path) -> dict[str, set[Use]]:
    """What may take each layer's weight, from the manifest's word for its kernel alone."""
    layers = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["layers"]
    expected: dict[str, set[Use]] = {}
    for path, entry in layers.items():
        layer = model.inventory().by_path[path]
        if layer.kind == "embedding":
            expected[path] = {Use("Gather", FLOAT if entry["kernel"] == "fp32" else INT8)}
        elif entry["kernel"] == "int8":
            expected[path] = {Use("MatMulIntegerToFloat" if len(layer.shape) == 4 else "DynamicQuantizeMatMul", INT8)}
        elif entry["kernel"] == "nbits":
            expected[path] = {Use("MatMulNBits", UINT8, entry.get("kernel_bits", entry["bits"]))}
        elif layer.kind == "conv" and set(layer.shape[2:]) != {1}:
            expected[path] = {Use("Conv", FLOAT), Use(BLOCKED_CONVOLUTION, FLOAT)}
        else:
            expected[path] = {Use(operator, FLOAT) for operator in PRODUCTS}
    return expected


def check_kernels(model: Model, bundle: Path, folder: Path) -> Counter[str]:
    """Assert that every layer runs as the manifest says; the histogram of the optimized graphs."""
    models = optimized_graphs(bundle, folder)
    uses, expected = uses_of_layers(bundle, models), expected_uses(model, bundle)
    assert set(uses) == set(expected)
    wrong = {path: use for path, use in uses.items() if use not in expected[path]}
    assert wrong == {}
    found = operators(models)
    assert not {"DequantizeLinear", "QuantizeLinear", "MatMulInteger", "QLinearMatMul", "ConvInteger"} & set(found)
    return found


def products(found: Counter[str]) -> dict[str, int]:
    """Counts of what multiplies weights (or, of the plain products, activations)."""
    kinds = {"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits", "Conv"}
    return {kind: found[kind] for kind in sorted(kinds) if found[kind]} | {"plain": sum(found[kind] for kind in PRODUCTS)}


def joined_products(model: Model) -> int:
    """Products of linear layers: q, k and v make one, so do all projections of the memory and all of relative positions."""
    linear = [layer for layer in model.inventory().layers if layer.kind == "linear" or set(layer.shape[2:]) == {1}]
    single = [layer for layer in linear if not layer.path.endswith(("linear_q", "linear_k", "linear_v", "linear_pos"))]
    shared = {layer.path.rpartition(".")[0] for layer in linear if layer.path.endswith(("self_attn.linear_q", ".attn.linear_q"))}
    crossed = [layer for layer in linear if layer.path.endswith("src_attn.linear_q")]
    positions = any(layer.path.endswith("linear_pos") for layer in linear)
    return len(single) + len(shared) + len(crossed) + 1 + positions


def convolutions(model: Model) -> tuple[int, int]:
    """Convolutions that are no product: in all, and those of several input channels, which int8 unfolds."""
    found = [layer for layer in model.inventory().layers if layer.kind == "conv" and set(layer.shape[2:]) != {1}]
    return len(found), sum(layer.shape[1] > 1 for layer in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", ["fp32", "int8", "nbits"])
def test_every_layer_runs_on_the_kernel_that_the_manifest_names(kind: str, kernel: Kernel, tmp_path: Path) -> None:
    encoder, conf = STRUCTURES[kind]
    model = make_model(encoder, {"concat_after": conf.get("concat_after", False)}, **conf)
    found = products(check_kernels(model, write(model, kernel, tmp_path), tmp_path))
    linear, (convolved, unfolded) = joined_products(model), convolutions(model)
    # Relative positions multiply activations by activations, once a block: the encoder's two.
    activations = 2 if any(layer.path.endswith("linear_pos") for layer in model.inventory().layers) else 0
    if kernel == "fp32":
        assert found == {"Conv": convolved, "plain": linear + activations}
    elif kernel == "int8":
        int8 = {"DynamicQuantizeMatMul": linear, "MatMulIntegerToFloat": unfolded}
        assert found == {"Conv": convolved - unfolded, **int8, "plain": activations}
    else:
        assert found == {"Conv": convolved, "MatMulNBits": linear, "plain": activations}


@pytest.mark.parametrize("kernel", ["int8", "nbits"])
def test_the_bundled_model_runs_on_its_kernels(kernel: Kernel, tmp_path: Path) -> None:
    model = load_model("bundled:tatoeba-en-de")
    found = products(check_kernels(model, write(model, kernel, tmp_path), tmp_path))
    assert found["DynamicQuantizeMatMul" if kernel == "int8" else "MatMulNBits"] == joined_products(model)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_scales_are_not_folded_into_anything(granularity: Granularity, tmp_path: Path) -> None:
    """Products take one scale a channel, beside the codes."""
    layers = shared_model().inventory().layers
    configuration = Configuration(bits=tuple((layer.path, 4) for layer in layers), scheme=Scheme(granularity))
    bundle = write_bundle(shared_model(), compress_model(shared_model(), configuration), tmp_path / "bundle")
    for model in optimized_graphs(bundle, tmp_path).values():
        dims = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "DynamicQuantizeMatMul":
                assert dims[node.input[2]] == dims[node.input[1]][1:]
            if node.op_type == "MatMulIntegerToFloat":
                assert dims[node.input[3]] == dims[node.input[1]][1:]


@pytest.mark.parametrize("bits", [3, 5])
def test_the_manifest_tells_the_kernels_own_width(bits: int, tmp_path: Path) -> None:
    bundle = write(shared_model(), "nbits", tmp_path, bits)
    check_kernels(shared_model(), bundle, tmp_path)
    layers = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["layers"]
    assert layers["decoder.output_layer"] == {"bits": bits, "kernel": "nbits", "kernel_bits": 4 if bits == 3 else 8}
    assert layers["encoder.embed.conv.0"] == {"bits": bits, "kernel": "fp32"}
    assert layers["decoder.embed.0"] == {"bits": bits, "kernel": "nbits"}


def test_layers_on_other_kernels_than_the_scheme(tmp_path: Path) -> None:
    exceptions: tuple[tuple[str, Kernel], ...] = (
        ("decoder.decoders.1.self_attn.linear_k", "fp32"),
        ("decoder.output_layer", "nbits"),
        ("encoder.encoders.0.feed_forward.w_1", "fp32"),
        ("encoder.embed.conv.2", "fp32"),
    )
    model = shared_model()
    plain = products(check_kernels(model, write(model, "int8", tmp_path / "plain"), tmp_path))
    found = products(check_kernels(model, write(model, "int8", tmp_path / "mixed", kernels=exceptions), tmp_path))
    # q, k and v of one block stand alone now (two int8 products in place of one); two layers and the output layer left int8.
    assert found["DynamicQuantizeMatMul"] == plain["DynamicQuantizeMatMul"] + 1 - 2
    assert "MatMulIntegerToFloat" not in found
    assert found["MatMulNBits"] == 1
    assert found["plain"] == plain["plain"] + 2


def test_a_half_bundle_has_no_other_products_than_one_in_fp32(tmp_path: Path) -> None:
    """On a CPU its weights are expanded when it is loaded (as in an fp32 bundle), so they have no names to look for."""
    half, full = (
        products(operators(optimized_graphs(write(shared_model(), kernel, tmp_path / kernel), tmp_path))) for kernel in ("fp16", "fp32")
    )
    assert half == full


class TestMistakesAreSeen:
    """A layer that silently runs in fp32, in two ways; and the check that must see it."""

    PATH = "encoder.encoders.1.feed_forward.w_2"

    def check(self, tmp_path: Path, kernel: Kernel = "int8") -> None:
        bundle = write(shared_model(), kernel, tmp_path)
        with pytest.raises(AssertionError, match=self.PATH):
            check_kernels(shared_model(), bundle, tmp_path)

    @pytest.mark.parametrize("kernel", ["int8", "nbits"])
    def test_built_in_fp32(self, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        right = WeightLayout.kernel
        monkeypatch.setattr(WeightLayout, "kernel", lambda layout, path: "fp32" if path == self.PATH else right(layout, path))
        self.check(tmp_path, kernel)

    def test_dequantized_in_front_of_the_product(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """onnxruntime folds the constant: the optimized graph holds a float32 weight of another name."""
        right = GraphBuilder._product

        def wrong(builder: GraphBuilder, x: str, paths: tuple[str, ...], factors: tuple[float, ...], rank: int) -> str:
            if paths != (self.PATH,):
                return right(builder, x, paths, factors, rank)
            weight = builder._joined(paths, "weight", "codes_transposed")
            scales = builder._joined(paths, "weight", "scales")
            dense = builder.node("DequantizeLinear", [weight, scales], axis=1)
            return builder.node("Gemm", [x, dense, builder._joined(paths, "bias", "float")])

        monkeypatch.setattr(GraphBuilder, "_product", wrong)
        self.check(tmp_path)
