"""Self-contained graphs: plain onnxruntime loads them and computes, bit for bit, what the bundle's do, at the bundle's size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

import paredown.bundle.self_contained as self_contained  # noqa: E402
from paredown.bundle.parity.gate import ParityError  # noqa: E402
from paredown.bundle.provenance import check_provenance  # noqa: E402
from paredown.bundle.self_contained import write_self_contained  # noqa: E402
from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model  # noqa: E402
from paredown.runtime.bundle_files import read_manifest  # noqa: E402
from paredown.runtime.seal import seal  # noqa: E402
from paredown.runtime.session import Graph  # noqa: E402
from paredown.runtime.translator import Translator  # noqa: E402
from paredown.space.configuration import Configuration, Kernel, Scheme  # noqa: E402
from tests.bundle.models import make_model, shared_model  # noqa: E402
from tests.bundle.sessions import count_operators  # noqa: E402
from tests.models.checkpoints import ENCODERS  # noqa: E402

Call = tuple[str, tuple[str, ...], dict[str, Any], list[Any]]


def make_bundle(folder: Path, model: Model, bits: int | None, sparsity: tuple[tuple[str, float], ...] = (), **scheme: Any) -> Path:
    """Layers of different widths around `bits` (None: nothing is quantized), so that joint products join them."""
    layers = model.inventory().layers if bits else ()
    widths = tuple((layer.path, min(max((bits or 8) + number % 3 - 1, 2), 8)) for number, layer in enumerate(layers))
    configuration = Configuration(bits=widths, sparsity=sparsity, scheme=Scheme(**scheme))
    return write_bundle(model, compress_model(model, configuration), folder / "bundle")


def record_calls(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What the bundle's graphs are asked, and answer, while an utterance is translated: file, outputs, inputs, results."""
    files, calls = {}, []
    start, run = Graph.__init__, Graph.run

    def note_file(graph: Graph, path: Path, *arguments: Any, **named: Any) -> None:
        files[graph] = Path(path).name
        start(graph, path, *arguments, **named)

    def note_call(graph: Graph, outputs: Sequence[str], inputs: Mapping[str, Any], *rest: Any) -> list[Any]:
        results = run(graph, outputs, inputs, *rest)
        kept = {name: np.array(value) for name, value in inputs.items()}
        calls.append((files[graph], tuple(outputs), kept, [np.array(value) for value in results]))
        return results

    with monkeypatch.context() as patched:
        patched.setattr(Graph, "__init__", note_file)
        patched.setattr(Graph, "run", note_call)
        translator = Translator.from_bundle(bundle, threads=1, beam_size=3, maxlenratio=-6)
        translator.translate(np.random.default_rng(0).normal(0, 0.1, 9_000).astype(np.float32))
    return calls


def open_plain(path: Path, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """As anybody would open it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if optimized is not None:
        options.optimized_model_filepath, options.log_severity_level = str(optimized), 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check_same(bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_calls(bundle, monkeypatch)
    sessions = {graph.file: open_plain(folder / graph.file) for graph in read_manifest(bundle).graphs}
    assert {"encoder.onnx", "decoder.onnx"} <= {file for file, *_ in calls}
    for file, outputs, inputs, expected in calls:
        for name, found, wanted in zip(outputs, sessions[file].run(list(outputs), inputs), expected, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=f"{file}: {name}")


SCHEMES: dict[str, dict[str, Any]] = {
    "fp32": {"bits": None, "kernel": "fp32"},
    "8 bits": {"bits": 9},
    "4 bits": {"bits": 4},
    "3 bits for a tensor": {"bits": 3, "granularity": "tensor"},
    "2 bits": {"bits": 1},
    "6 bits in fp32": {"bits": 6, "kernel": "fp32"},
    "3 and 4 bits in nbits": {"bits": 3, "kernel": "nbits", "block": 16, "sparsity": (("encoder.feed_forward", 0.7),)},
    "7 and 8 bits in nbits": {"bits": 8, "kernel": "nbits"},
    "fp16": {"bits": None, "kernel": "fp16"},
    "4 bits in fp16": {"bits": 4, "kernel": "fp16"},
    "5 bits, sparse": {"bits": 5, "sparsity": (("encoder.feed_forward", 0.7), ("decoder.embed", 0.5), ("decoder.cross_attn", 0.4))},
    "3 bits, sparse, in fp32": {"bits": 3, "kernel": "fp32", "sparsity": (("encoder.conv", 0.8), ("decoder.feed_forward", 0.9))},
}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_plain_onnxruntime_computes_what_the_bundle_does(scheme: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path, shared_model(), **scheme)
    check_same(bundle, write_self_contained(bundle, tmp_path / "plain"), monkeypatch)


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_computes_what_its_bundle_does(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(ENCODERS[encoder]["encoder"], **ENCODERS[encoder]["encoder_conf"])
    bundle = make_bundle(tmp_path, model, 4, sparsity=(("encoder.self_attn", 0.6),))
    check_same(bundle, write_self_contained(bundle, tmp_path / "plain"), monkeypatch)


@pytest.mark.parametrize("kernel", ["fp32", "int8", "nbits", "fp16"])
def test_so_do_other_shapes_and_half_precision(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of half precision lie in the file as such."""
    model, feed_forward = shared_model(), "decoder.decoders.1.feed_forward"
    paths = [layer.path for layer in model.inventory().layers]
    configuration = Configuration(
        bits=tuple((path, 16 if number % 3 else 5) for number, path in enumerate(paths)),
        width=((feed_forward, 13), ("encoder.encoders.0.feed_forward", 7)),
        rank=((f"{feed_forward}.w_2", 5), ("encoder.encoders.0.feed_forward_macaron.w_2", 3)),
        heads=(("decoder.decoders.0.src_attn", (1,)), ("encoder.encoders.1.self_attn", (0,))),
        scheme=Scheme(kernel=kernel),
    )
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / "bundle")
    folder = write_self_contained(bundle, tmp_path / "plain")
    check_same(bundle, folder, monkeypatch)
    stored = {name: tensor for file in folder.glob("*.onnx") for name, tensor in tensors_of(file).items()}
    assert stored["expand/decoder.output_layer.weight.half"].data_type == onnx.TensorProto.FLOAT16


def tensors_of(file: Path) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in onnx.load(file).graph.initializer}


@pytest.mark.parametrize("bits", [None, 4])
def test_after_loading_the_graphs_are_those_of_the_bundle(bits: int | None, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, shared_model(), bits, sparsity=(("decoder.feed_forward", 0.8),))
    folder = write_self_contained(bundle, tmp_path / "plain")
    for file in ("encoder.onnx", "decoder.onnx"):
        open_plain(folder / file, tmp_path / "optimized.onnx")
        found = count_operators(onnx.load(tmp_path / "optimized.onnx"))
        own = onnx.load(bundle / file, load_external_data=False)
        for name in ("BitShift", "BitwiseAnd", "BitwiseOr", "CumSum", "Identity", "Where"):
            assert found[name] == sum(node.op_type == name for node in own.graph.node), name
        assert found["DynamicQuantizeMatMul"] == sum(node.op_type == "DynamicQuantizeMatMul" for node in own.graph.node)


@pytest.mark.parametrize("bits", [2, 4, 7])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_size_is_that_of_the_bundle(bits: int, sparse: bool, tmp_path: Path) -> None:
    """Plus nodes: up to half a kilobyte for each plane of a tensor. Of a model with 45M weights that is 1 %, of this one up to 10 %."""
    model = make_model(output_size=96, linear_units=768, attention_heads=4, decoder_conf={"linear_units": 768, "attention_heads": 4})
    paths = [layer.path for layer in model.inventory().layers]
    sparsity = (("encoder.feed_forward", 0.7), ("decoder.feed_forward", 0.7)) if sparse else ()
    configuration = Configuration(bits=tuple((path, bits) for path in paths), sparsity=sparsity)
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / "bundle")
    folder = write_self_contained(bundle, tmp_path / "plain")
    planes = sum(record.bits + (record.kind == "sparse") for record in read_manifest(bundle).tensors)
    found, expected = (sum(path.stat().st_size for path in place.iterdir()) for place in (folder, bundle))
    assert 0.95 * expected < found < expected + 512 * planes
    assert 512 * planes < 0.35 * expected  # or the bound would say nothing


def test_the_folder_explains_itself_and_is_the_same_each_time(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, shared_model(), 4)
    first, second = (write_self_contained(bundle, tmp_path / name) for name in ("a", "b"))
    content = {path.name: path.read_bytes() for path in first.iterdir()}
    assert content == {path.name: path.read_bytes() for path in second.iterdir()}
    assert {"encoder.onnx", "decoder.onnx", "tokens.txt", "frontend.json", "README.txt", "paredown.json"} <= set(content)
    assert "weights.bin" not in content
    readme = content["README.txt"].decode()
    for file in ("encoder.onnx", "decoder.onnx"):
        graph = onnx.load(first / file).graph
        assert all(f"    {value.name} " in readme for value in (*graph.input, *graph.output))
    assert "features             float32 [frames, 40]" in readme
    assert not any(
        tensor.external_data for file in ("encoder.onnx", "decoder.onnx") for tensor in onnx.load(first / file).graph.initializer
    )


def decode_greedily(folder: Path, features: np.ndarray, sos: int, steps: int) -> list[int]:
    """As README.txt says it, with one hypothesis and nothing of paredown."""
    encoder, decoder = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"]) for name in ("encoder", "decoder")
    )
    names = ["memory_keys", "memory_values"]
    memory = dict(zip(names, encoder.run(names, {"features": features}), strict=True))
    inputs: dict[str, Any] = {"memory_mask": np.zeros((1, 1, 1, memory["memory_keys"].shape[2]), np.float32), "k": np.array([1])}
    pools = [entry for entry in decoder.get_inputs() if entry.name.startswith("self_")]
    for name, values in memory.items():
        inputs |= {f"{name}_{layer}": values[layer : layer + 1] for layer in range(len(values))}
    for pool in pools:
        _, heads, _, units = pool.shape
        inputs[pool.name] = np.zeros((1, heads, 0, units), np.float32)
    ids = [sos]
    for position in range(steps):
        inputs |= {"tokens": np.array([[ids[-1]]]), "position": np.full((1, 1, 1), position)}
        inputs["node_mask"] = np.zeros((1, 1, 1, position + 1), np.float32)
        found, *grown = decoder.run(["ids", *(f"new_{pool.name}" for pool in pools)], inputs)
        inputs |= dict(zip((pool.name for pool in pools), grown, strict=True))
        ids.append(int(found[0, 0, 0]))
    return ids[1:]


def test_the_readme_is_enough_to_decode(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, shared_model(), 4)
    folder = write_self_contained(bundle, tmp_path / "plain")
    translator = Translator.from_bundle(bundle, beam_size=1, maxlenratio=-6)
    waveform = np.random.default_rng(1).normal(0, 0.1, 20_000).astype(np.float32)
    expected = translator.translate(waveform, fixed_tokens=6)
    ids = decode_greedily(folder, translator.features.extract(waveform), read_manifest(bundle).sos, 6)
    eos = read_manifest(bundle).eos
    assert eos not in ids  # or the fixed search would have gone on differently
    assert tuple(token for token in ids if token) == expected.ids


def test_only_what_paredown_wrote_is_replaced(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, shared_model(), 4)
    folder = write_self_contained(bundle, tmp_path / "plain")
    check_provenance(folder, "self-contained")
    with pytest.raises(BadInput, match="--force"):
        write_self_contained(bundle, folder)
    write_self_contained(bundle, folder, force=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="which is neither"):
        write_self_contained(bundle, folder, force=True)
    with pytest.raises(BadInput, match="which is neither"):
        write_self_contained(bundle, bundle, force=True)
    with pytest.raises(BadInput, match=r"it also holds notes\.txt"):
        check_provenance(folder, "self-contained")
    (folder / "notes.txt").unlink()
    (folder / "paredown.json").write_bytes(seal({"form": "self-contained", "schema": 2, "files": {}}).encode())
    with pytest.raises(BadInput, match="it has schema 2, and 1 is the one that is known here"):
        write_self_contained(bundle, folder, force=True)


def test_a_bundle_that_was_changed_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, shared_model(), 4)
    data = bytearray((bundle / "weights.bin").read_bytes())
    data[100] ^= 1
    (bundle / "weights.bin").write_bytes(data)
    with pytest.raises(BadInput, match=r"weights\.bin was changed"):
        write_self_contained(bundle, tmp_path / "plain")
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize("faulty", ["encoder.onnx", "decoder.onnx"])
def test_graphs_that_are_filled_wrongly_are_refused(faulty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(tmp_path, shared_model(), 4)
    inputs = {"encoder.onnx": "features", "decoder.onnx": "tokens"}

    def fill_wrongly(model: onnx.ModelProto, *arguments: Any) -> None:
        fill_graph(model, *arguments)
        if inputs[faulty] in {value.name for value in model.graph.input}:
            uint8 = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.UINT8]
            planes = [tensor for tensor in uint8 if len(tensor.raw_data) > 8]
            data = bytearray(planes[-1].raw_data)
            data[0] ^= 1  # one bit of one code
            planes[-1].raw_data = bytes(data)

    fill_graph = self_contained.fill_graph
    monkeypatch.setattr(self_contained, "fill_graph", fill_wrongly)
    with pytest.raises(ParityError, match=f"bit for bit; {faulty} does not"):
        write_self_contained(bundle, tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
