"""A bundle as ONNX files that plain onnxruntime loads: the weights lie in the graphs, packed, with the operators that expand them.

The price is load time and memory while loading: onnxruntime expands planes with general operators, and one by one. Results are those of the
bundle, bit for bit: what is left after loading is the same graph with the same arrays.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from paredown.bundle.expand import fill_graph
from paredown.bundle.folder import check_target, temporary_folder, write_folder, writing
from paredown.bundle.parity.follow import ParityError
from paredown.bundle.provenance import PROVENANCE, check_provenance, write_provenance
from paredown.runtime.bundle_files import FRONTEND, MANIFEST, TOKENS, WEIGHTS, GraphRecord, Manifest, check_files, read_manifest
from paredown.runtime.decoder import DecoderSteps
from paredown.runtime.session import Graph
from paredown.runtime.weights import Array, Weights

FORM, README = "self-contained", "README.txt"
_FRAMES = 40  # of the utterance that is checked
_KEPT = ("versions", "model", "configuration", "configuration_digest", "parameters", "keep", "layers")
_TYPES = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.INT64: "int64"}
_HOW = """\
ONNX graphs that hold their weights; onnxruntime {onnxruntime} or newer loads them, paredown is not needed. Opset {opset} and com.microsoft.
Weights lie packed at their true bit-width and are expanded once, while a file is loaded.

frontend.json   what turns a waveform into features: STFT (power), mel filters, logarithm, normalization of means and variances
tokens.txt      one token a line, line number = id, from 0; sos = {sos}, eos = {eos}, blank = 0; tokens are of the type {token_type}
paredown.json   model, configuration and versions that this was made of, and the digests of these files

How to decode: run the encoder on the features of one utterance [frames, {mels}]. Give layer i of memory_keys and memory_values to the
decoder as memory_keys_i and memory_values_i (where layers differ in their heads, memory_keys holds the heads of all layers, one layer
after the other, and the decoder's inputs say how many each has), and no nodes at first: self_keys_i and self_values_i with 0 nodes.
A step takes the newest token of every hypothesis (sos first) at its position (0 first) and gives the k best next tokens with their
log-probabilities. Its outputs new_self_keys_i and new_self_values_i are the next step's self_keys_i and self_values_i: every step appends
one node for each hypothesis.
node_mask says with 0 which nodes a hypothesis descends from, its own of this step included, and hides the others with -3e4;
memory_mask does the same for frames (all 0 for one utterance). Where there is a ctc.onnx, it turns encoder_out into log-probabilities of
the tokens for every frame.
"""


def write_self_contained(bundle: Path, directory: Path, *, force: bool = False) -> Path:
    """Write the self-contained form of a bundle into `directory` and return it; equal bundles give equal bytes.

    Raises BadInput if `bundle` is none or was changed, or if something is at `directory` already, unless it is a folder that this
    function wrote and `force` allows to replace it; ParityError if the graphs, once filled, do not compute what the bundle's do. Then
    nothing is written.
    """
    directory = Path(directory)
    check_target(directory, "a self-contained folder", lambda folder: check_provenance(folder, FORM), force)
    write_folder(directory, render_self_contained(bundle))
    return directory


def render_self_contained(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle's self-contained form by name. Raises BadInput and ParityError as `write_self_contained`."""
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    about = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    about = {key: about[key] for key in _KEPT if key in about} | {"bundle": about["digest"]}
    weights = Weights(bundle / WEIGHTS, manifest.tensors)
    models = {graph.file: _fill(bundle, graph, manifest, weights) for graph in manifest.graphs}
    files = {name: model.SerializeToString(deterministic=True) for name, model in models.items()}
    mels = json.loads((bundle / FRONTEND).read_bytes())["n_mels"]
    _check_filled(bundle, files, manifest, weights, mels)
    files |= {name: (bundle / name).read_bytes() for name in (TOKENS, FRONTEND)}
    files[README] = _describe(models, manifest, mels, about["versions"]).encode()
    return files | {PROVENANCE: write_provenance(FORM, about, files)}


def _fill(bundle: Path, graph: GraphRecord, manifest: Manifest, weights: Weights) -> onnx.ModelProto:
    model = onnx.load_model(bundle / graph.file, load_external_data=False)
    fill_graph(model, graph.initializers, weights, {record.name: record for record in manifest.tensors})
    return model


class _RecordingGraph(Graph):
    """An open graph that keeps the names and results of all its runs in `results`."""

    def __init__(self, path: Path, weights: Mapping[str, Array]) -> None:
        super().__init__(path, weights)
        self.results: list[tuple[str, Any]] = []

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Any], keep: Collection[str] = ()) -> list[Any]:
        arrays = super().run(outputs, inputs, keep)
        self.results.extend(zip(outputs, arrays, strict=True))
        return arrays


def _check_filled(bundle: Path, files: Mapping[str, bytes], manifest: Manifest, weights: Weights, mels: int) -> None:
    """Raises ParityError unless the filled graphs give, bit for bit, what the bundle's give for a short seeded utterance."""
    features = np.random.default_rng(0).standard_normal((_FRAMES, mels)).astype(np.float32)
    own = {graph.file: _RecordingGraph(bundle / graph.file, weights.initializers(graph.initializers)) for graph in manifest.graphs}
    _run_briefly(own, features, manifest.sos)
    expected = {file: graph.results for file, graph in own.items()}
    del own
    with temporary_folder() as folder:
        for file, data in files.items():
            with writing(f"the check's file {folder / file}"):
                (folder / file).write_bytes(data)
        try:
            filled = {file: _RecordingGraph(folder / file, {}) for file in files}
        except Exception as error:  # onnxruntime has no base class of its own
            raise ParityError(f"onnxruntime must load the self-contained graphs, got {error}") from error
    _run_briefly(filled, features, manifest.sos)
    for file, results in expected.items():
        for (name, wanted), (_, found) in zip(results, filled[file].results, strict=True):
            if found.shape != wanted.shape or found.tobytes() != wanted.tobytes():
                raise ParityError(f"self-contained graphs must compute what the bundle's do, bit for bit; {file} does not: {name} differs")


def _run_briefly(graphs: Mapping[str, Graph], features: np.ndarray[Any, np.dtype[np.float32]], sos: int) -> None:
    """The encoder on one utterance, the CTC where there is one, and two steps of the decoder with two hypotheses."""
    states, keys, values = graphs["encoder.onnx"].run(["encoder_out", "memory_keys", "memory_values"], {"features": features})
    if "ctc.onnx" in graphs:
        graphs["ctc.onnx"].run(["log_probs"], {"encoder_out": states})
    steps = DecoderSteps(graphs["decoder.onnx"], keep_log_probs=True)
    steps.listen(keys, values)
    steps.start()
    _, ids = steps.step(np.array([sos]), 0, np.array([0]), 2)
    steps.step(ids[0], 1, np.array([0, 0]), 2)


def _describe(models: dict[str, onnx.ModelProto], manifest: Manifest, mels: int, versions: dict[str, str | int]) -> str:
    """The README: how to run the graphs, and the inputs and outputs of each."""
    settings = {"sos": manifest.sos, "eos": manifest.eos, "token_type": manifest.token_type, "mels": mels}
    text = _HOW.format(**settings, onnxruntime=versions.get("onnxruntime", "1.31"), opset=versions.get("opset", 20))
    for file, model in models.items():
        sections = (("inputs", model.graph.input), ("outputs", model.graph.output))
        text += f"\n{file}\n" + "".join(f"  {title}\n" + "".join(map(_describe_value, values)) for title, values in sections)
    return text


def _describe_value(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dims = ", ".join(dim.dim_param or str(dim.dim_value) for dim in kind.shape.dim)
    return f"    {value.name:<20} {_TYPES.get(kind.elem_type, str(kind.elem_type))} [{dims}]\n"
