"""Multiply-accumulates beside what torch counts on ESPnet's own modules, and beside the sum over the nodes of the ONNX graphs."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from paredown.bundle.write import write_bundle  # noqa: E402
from paredown.compress.network import compress_model  # noqa: E402
from paredown.errors import BadInput  # noqa: E402
from paredown.models import Model, load_model  # noqa: E402
from paredown.runtime import Translator  # noqa: E402
from paredown.runtime.bundle_files import WEIGHTS, read_manifest  # noqa: E402
from paredown.runtime.weights import Weights  # noqa: E402
from paredown.space.axes.layers import is_kept  # noqa: E402
from paredown.space.configuration import Configuration, Decode, Kernel, Scheme  # noqa: E402
from paredown.space.inventory import Inventory  # noqa: E402
from paredown.space.macs import Step, Units, Workload, macs  # noqa: E402
from paredown.space.operations import Structure, count_parameters, find_stage  # noqa: E402
from paredown.trials.operations import count_frames, macs_of_bundle, operations_of, operations_of_bundle, read_structure  # noqa: E402
from tests.bundle.models import ENCODER, make_model  # noqa: E402

FRAMES, WIDTH, STATES = 100, ENCODER["output_size"], {"conv2d": 24, "conv2d6": 15, "conv2d8": 11, "conv2d2": 47, "conv2d1": 96}
E_BRANCHFORMER = {"cgmlp_linear_units": 32, "cgmlp_conv_kernel": 5, "use_linear_after_conv": True, "use_ffn": True, "macaron_ffn": True}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "conformer": ("conformer", {}),
    "conformer-legacy": ("conformer", {"input_layer": "conv2d", "rel_pos_type": "legacy"}),
    "conformer-concat": ("conformer", {"input_layer": "conv2d1", "concat_after": True}),
    "transformer": ("transformer", {"input_layer": "conv2d2"}),
    "e_branchformer": ("e_branchformer", {"input_layer": "conv2d8", **E_BRANCHFORMER}),
}
BLOCKS, DECODER_BLOCKS = 2, 3


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> Model:
    encoder, conf = MODELS[request.param]
    return make_model(encoder, **conf)


def plain(kernel: Kernel, inventory: Inventory, **settings: Any) -> Configuration:
    kept = Configuration(**settings)
    bits = () if kernel == "fp32" else tuple((layer.path, 8) for layer in inventory.layers if is_kept(layer.path, kept))
    return replace(kept, bits=bits, scheme=Scheme(kernel=kernel))


def stage_macs(model: Model, workload: Workload, memory: bool = True) -> dict[str, int]:
    structure = read_structure(model)
    operations = operations_of(model.inventory(), Configuration(), structure)
    units = Units.of(operations, structure, workload)
    found = {"encoder": 0, "decoder": 0}
    for operation in operations:
        if memory or not operation.path.startswith("decoder.") or operation.is_step:
            found[operation.stage] += operation.macs * units.count(operation)
    return found


def count_in_torch(run: Any) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2  # it counts a multiply-accumulate twice


def test_the_encoder_costs_what_torch_counts_but_for_one_position(model: Model) -> None:
    """ESPnet takes 2S - 1 relative positions where the graph takes 2S: in each block one row of `linear_pos`, one column of the scores."""
    features = torch.randn(1, FRAMES, model.frontend.n_mels)
    counted = count_in_torch(lambda: model.network.encode(features, torch.tensor([FRAMES])))
    states = STATES[model.config["encoder_conf"]["input_layer"]]
    extra = BLOCKS * (WIDTH * WIDTH + states * WIDTH) if read_structure(model).positions == "relative" else 0
    assert stage_macs(model, Workload(FRAMES, ()), memory=False)["encoder"] == counted + extra


def test_a_decoder_step_costs_what_torch_counts_but_for_what_espnet_projects_again(model: Model) -> None:
    """ESPnet projects keys and values of all tokens before, and of the whole memory, at every step; the runtime has them already."""
    states, tokens, decoder = 15, 4, model.network.decoder
    memory = torch.randn(1, states, WIDTH)
    mask = torch.tril(torch.ones(tokens, tokens, dtype=torch.bool))[None]
    cache: Any = [torch.randn(1, tokens - 1, WIDTH) for _ in range(DECODER_BLOCKS)]
    ids = torch.arange(tokens)[None]
    counted = count_in_torch(lambda: decoder.forward_one_step(ids, mask, memory, cache=copy.copy(cache)))
    again = DECODER_BLOCKS * 2 * WIDTH * WIDTH * (tokens - 1 + states)
    frames = next(count for count in range(1, 200) if _states(model, count) == states)
    assert stage_macs(model, Workload(frames, (Step(1, tokens - 1),)))["decoder"] == counted - again


def _states(model: Model, frames: int) -> int:
    structure = read_structure(model)
    try:
        return Units.of(operations_of(model.inventory(), Configuration(), structure), structure, Workload(frames, ())).states
    except ValueError:
        return 0


KEPT = (("encoder", (1,)), ("decoder", (0, 2)))
FEWER = (("decoder.decoders.0.self_attn", (1,)), ("decoder.decoders.2.src_attn", (0,)))
HEADS = ((1, 2), (2, 1))  # of the two decoder blocks: own, cross


def reduced(model: Model, kernel: Kernel) -> Configuration:
    """The kept blocks with widths, ranks and heads of their own."""
    kept = [path for path in model.inventory().feed_forwards if is_kept(path, Configuration(keep=KEPT))]
    attention = next(path for path, _ in model.inventory().heads if path.startswith("encoder.encoders.1"))
    width = tuple((path, 5 + number) for number, path in enumerate(kept))
    rank = tuple((f"{path}.w_1", 3) for path in kept[1:])
    return plain(kernel, model.inventory(), keep=KEPT, width=width, rank=rank, heads=(*FEWER, (attention, (1,))))


@pytest.mark.parametrize("shape", ["dropped", "reduced"])
@pytest.mark.parametrize("kernel", ["fp32", "int8"])
def test_the_graphs_nodes_add_up_to_the_same(model: Model, kernel: Kernel, shape: str, tmp_path: Path) -> None:
    heads = HEADS if shape == "reduced" else ()
    configuration = reduced(model, kernel) if heads else plain(kernel, model.inventory(), keep=KEPT)
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / "bundle")
    steps = (Step(1, 0), Step(3, 1), Step(3, 4))
    features = np.random.default_rng(0).standard_normal((FRAMES, model.frontend.n_mels)).astype(np.float32)
    counted, outputs = count_in_graph(bundle, "encoder", {"features": features})
    for step in steps:
        counted += count_in_graph(bundle, "decoder", step_inputs(outputs, step, heads))[0]
    structure = read_structure(model)
    operations = operations_of(model.inventory(), configuration, structure)
    assert macs(operations, structure, Workload(FRAMES, steps)) == counted
    of_bundle, found = operations_of_bundle(bundle)
    assert found == structure
    assert sorted(map(repr, of_bundle)) == sorted(map(repr, operations))


def step_inputs(outputs: dict[str, np.ndarray], step: Step, heads: Sequence[tuple[int, int]] = ()) -> dict[str, np.ndarray]:
    """`heads`: of every block, in its self-attention and its cross-attention; () where all have as many as the memory says."""
    rows, nodes = step.hypotheses, step.nodes
    layers, all_heads, states, dk = outputs["memory_keys"].shape
    heads = heads or [(all_heads, all_heads)] * layers
    ends = np.cumsum([0, *(cross for _, cross in heads)])
    inputs = {"tokens": np.zeros((1, rows), np.int64), "position": np.zeros((1, 1, 1), np.int64), "k": np.array([2])}
    inputs |= {"node_mask": np.zeros((1, 1, rows, nodes + rows), np.float32), "memory_mask": np.zeros((1, 1, rows, states), np.float32)}
    for layer, (own, _) in enumerate(heads):
        for part in ("keys", "values"):
            joint = outputs[f"memory_{part}"].reshape(1, -1, states, dk)
            inputs[f"memory_{part}_{layer}"] = joint[:, ends[layer] : ends[layer + 1]]
            inputs[f"self_{part}_{layer}"] = np.zeros((1, own, nodes, dk), np.float32)
    return inputs


def count_in_graph(bundle: Path, name: str, inputs: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """Multiply-accumulates of a graph as stored, from the shapes that its values had in a run; and its outputs."""
    manifest = read_manifest(bundle)
    record = getattr(manifest, name)
    graph = onnx.load(bundle / record.file, load_external_data=False)
    own = {value.name for value in graph.graph.output}
    inner = [value for node in graph.graph.node for value in node.output if value and value not in own]
    graph.graph.output.extend(onnx.ValueInfoProto(name=value) for value in inner)
    weights = Weights(bundle / WEIGHTS, manifest.tensors).initializers(record.initializers)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [*sorted(own), *inner]
    found = dict(zip(names, session.run(names, inputs), strict=True))
    constants = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    shapes = constants | {key: value.shape for key, value in (found | inputs).items()}
    return sum(macs_of_node(node, shapes) for node in graph.graph.node), found


def macs_of_node(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    first = [shapes[name] for name in node.input[:3] if name]
    if node.op_type in ("MatMul", "Gemm", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
        return prod(shapes[node.output[0]]) * first[0][-1]
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(first[1][1:])
    if node.op_type == "MultiHeadAttention":
        batch, rows, width = first[0]
        past = shapes[node.input[6]][2] if len(node.input) > 6 and node.input[6] else 0
        seen = (first[1][1] if len(first[1]) == 3 else first[1][2]) + past
        return 2 * batch * rows * seen * width
    assert node.op_type not in ("FusedMatMul", "Attention", "Einsum", "ConvTranspose"), node.op_type
    return 0


def test_parameters_of_a_configuration_are_those_its_bundle_stores(model: Model, tmp_path: Path) -> None:
    configurations = [plain("int8", model.inventory(), keep=keep) for keep in ((), (("encoder", (0,)), ("decoder", (1, 2))))]
    for number, configuration in enumerate([*configurations, reduced(model, "int8")]):
        bundle = write_bundle(model, compress_model(model, configuration), tmp_path / str(number))
        stored = json.loads((bundle / "manifest.json").read_text())["parameters"]["stored"]
        assert count_parameters(model.inventory(), configuration) == stored


def test_the_bundled_model_costs_what_a_hand_count_gives() -> None:
    """Conformer 8x160/960 behind conv2d6, kernel 15; decoder 6x160/960; 4 s of audio (401 frames), 20 tokens, beam 10."""
    model = load_model("bundled:tatoeba-en-de")
    width, units, states = 160, 960, 66  # 401 frames, 200 behind (3, 2), 66 behind (5, 3); 40 bands, 19, 5
    subsampling = 200 * 19 * width * 9 + states * 5 * width * width * 25 + states * (5 * width) * width
    feed_forward, square = 2 * width * units, width * width
    module = width * 2 * width + 15 * width + square
    positions = 2 * states * square + states * 2 * states * width
    block = states * (2 * feed_forward + 4 * square + module) + positions + 2 * states * states * width
    rows = 1 + 19 * 10
    pairs = 1 + sum(10 * (1 + 10 * (step - 1) + 10) for step in range(1, 20))
    step_block = rows * (6 * square + feed_forward) + 2 * width * pairs + 2 * width * rows * states
    memory = states * 2 * square
    by_hand = subsampling + 8 * block + 6 * (memory + step_block) + rows * width * len(model.tokens)
    structure = read_structure(model)
    operations = operations_of(model.inventory(), Configuration(), structure)
    assert count_frames(model.frontend, 4 * 16_000) == 401
    assert macs(operations, structure, Workload.fixed(401, 20, 10)) == by_hand


def test_macs_of_a_bundle_at_a_length_and_a_number_of_tokens(tmp_path: Path) -> None:
    model = make_model()
    configuration = plain("int8", model.inventory(), decode=Decode(beam_size=3))
    bundle = write_bundle(model, compress_model(model, configuration), tmp_path / "bundle")
    structure = read_structure(model)
    frames = count_frames(model.frontend, 2 * 16_000)
    expected = macs(operations_of(model.inventory(), configuration, structure), structure, Workload.fixed(frames, 5, 3))
    assert macs_of_bundle(bundle, 2.0, 5) == expected
    assert macs_of_bundle(bundle, 2.0, 5, beam=1) < expected < macs_of_bundle(bundle, 2.5, 5)
    with pytest.raises(BadInput, match="a bundle is a folder with a readable"):
        macs_of_bundle(tmp_path, 2.0, 5)


@pytest.mark.parametrize("hop_samples", [100, 160, 333])
@pytest.mark.parametrize("samples", [3_000, 16_000, 16_159, 16_160])
def test_frames_are_those_of_the_extractor(hop_samples: int, samples: int) -> None:
    from paredown.runtime.features import FeatureExtractor, Frontend

    for center in (True, False):
        frontend = Frontend(16_000, 512, 400, hop_samples, 40, 0.0, 8_000.0, center=center)
        features = FeatureExtractor(frontend).extract(np.ones(samples, np.float32))
        assert count_frames(frontend, samples) == len(features)


def test_the_expected_stages_of_layers() -> None:
    assert find_stage("decoder.decoders.0.src_attn.linear_v") == "encoder"
    assert find_stage("decoder.decoders.0.src_attn.linear_q") == "decoder"
    assert (find_stage("st_ctc.ctc_lo"), find_stage("encoder.embed.conv.0")) == ("ctc", "encoder")


def test_steps_of_a_real_search_are_at_most_those_counted(tmp_path: Path) -> None:
    """`Workload.fixed` is exact until dead nodes are thrown out of the pool, an upper bound behind."""
    model = make_model()
    configuration = plain("fp32", model.inventory(), decode=Decode(beam_size=4))
    translator = Translator.from_bundle(write_bundle(model, compress_model(model, configuration), tmp_path / "bundle"))
    assert translator.decoder is not None
    seen: list[Step] = []
    run = translator.decoder.graph.run

    def spy(outputs: Any, inputs: Any, keep: Any = ()) -> Any:
        seen.append(Step(inputs["tokens"].shape[1], inputs["self_keys_0"].shape[2]))
        return run(outputs, inputs, keep)

    translator.decoder.graph.run = spy  # type: ignore[method-assign]
    found = translator.translate(np.zeros(16_000, np.float32), fixed_tokens=30)
    most = Workload.fixed(found.frames, 30, 4).steps
    assert tuple(seen[:4]) == most[:4]
    assert all(step.hypotheses == bound.hypotheses and step.nodes <= bound.nodes for step, bound in zip(seen, most, strict=True))


def test_structures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="mels must be at least 1, got 0"):
        Structure(0, (2, 2), "absolute", 1, 1)
